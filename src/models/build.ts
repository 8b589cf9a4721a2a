import { InputError } from "../errors.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { matmul } from "../graph/ops/matmul.ts";
import { gather, range, reshape, sizes } from "../graph/ops/shape-ops.ts";
import { computeInFloat16 } from "../graph/rewrite/float16.ts";
import { logSumFromShares } from "../graph/rewrite/log-sum.ts";
import { nameOutputs } from "../graph/rewrite/name-outputs.ts";
import { prune } from "../graph/rewrite/prune.ts";
import type { TokenPrepending } from "../text/recipe.ts";
import type { Architecture } from "./architecture.ts";
import type { AttentionContext, KeyValues } from "./attention.ts";
import type { DecoderConfig } from "./config.ts";
import type { LoraSource } from "./lora.ts";
import {
  causalMask,
  type GridPlaces,
  headGrid,
  lastPositions,
  lastTokenMask,
  type PackedRows,
  packedMask,
  rotateAt,
} from "./token-layout.ts";
import { type Checkpoint, type Observer, Weights } from "./weights.ts";

/** Names of the graph's inputs and outputs, for whoever feeds it. */
export const graphNames = {
  inputIds: "input_ids",
  positionIds: "position_ids",
  gridIndex: "grid_index",
  tokenCell: "token_cell",
  repeatedCell: "repeated_cell",
  queryIndex: "query_index",
  queryCell: "query_cell",
  slotIndex: "slot_index",
  slotCell: "slot_cell",
  lastToken: "last_token",
  poolWeights: "pool_weights",
  sourceToken: "source_token",
  embedding: "embedding",
  state: (layer: number) => `state.${layer}`,
  pastKey: (layer: number) => `past.${layer}.key`,
  pastValue: (layer: number) => `past.${layer}.value`,
  pastLogWeight: "past_log_weight",
  presentKey: (layer: number) => `present.${layer}.key`,
  presentValue: (layer: number) => `present.${layer}.value`,
};

/** The graph that turns tokens into embeddings, and what must be fed to it. */
export interface InferenceGraph {
  readonly graph: Graph;
  /** Layers that take a past and give a present. */
  readonly layers: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  /** Takes pool_weights: reads more than the last token. */
  readonly poolsTokens: boolean;
  /** Takes source_token: overwrites tokens' states. */
  readonly movesTokens: boolean;
}

export interface GraphOptions {
  /** May add outputs for the inputs of linear weights. */
  readonly observer?: (graph: Graph) => Observer;
  readonly lora?: (graph: Graph) => LoraSource;
  /** Earlier layers that are read too, state.<layer> [batch, hiddenSize]. */
  readonly alsoRead?: readonly number[];
  /** The embedding is a sum over tokens with the weights that pool_weights, float32 [batch, tokens], gives. */
  readonly poolsTokens?: boolean;
  /** Before these layers every token's state is replaced by that of its source_token, int64 [tokens]. */
  readonly moveTokens?: TokenPrepending | undefined;
}

/**
 * Writes the inference graph.
 *
 * Inputs: input_ids, position_ids int64 [tokens], the sequences one after the other without padding, a
 * beginning that several share perhaps once; grid_index int64
 * [batch, length], the token at each cell of the padded grid; token_cell int64 [tokens], the cell of each token, of a
 * shared one any;
 * last_token int64 [batch]; and for every layer past.<i>.key and .value [numKeyValueHeads, past, headDim], the shared
 * prefix, with past_log_weight float32 [1] of 0; where there is none logOfNone, with one row of zeros in key and value.
 * Outputs: embedding [batch, hiddenSize]; present.<i>.key and .value [numKeyValueHeads, batch, length, headDim].
 *
 * @param layer  hidden state to read, 0 the token embeddings, numLayers or "last" the last layer after the final norm;
 *               layers above it are not in the graph, and the topmost works for the last tokens only
 * @param options  an observer may add outputs for the inputs of linear weights; lora says what adapters add to them; the
 *                 others see GraphOptions
 * @throws ModelError for a missing or misshapen tensor, InputError "bad-option" for a layer the model lacks
 */
export function buildInferenceGraph(
  architecture: Architecture,
  config: DecoderConfig,
  checkpoint: Checkpoint,
  layer: number | "last" = "last",
  { observer, lora, alsoRead = [], poolsTokens = false, moveTokens }: GraphOptions = {},
): InferenceGraph {
  const depth = readDepth(layer, config);
  const graph = new Graph();
  const weights = new Weights(graph, checkpoint, { observer: observer?.(graph), lora: lora?.(graph) });
  const { inputIds, positionIds, gridIndex, tokenCell, lastToken } = sequenceInputs(graph);
  const last = (hidden: Value): Value => gather(hidden, lastToken);
  const pool = poolsTokens ? graph.input(graphNames.poolWeights, "float32", ["batch", "tokens"]) : null;
  const read = (hidden: Value): Value => (pool ? matmul(pool, hidden) : last(hidden)); // [batch, hiddenSize]

  let hidden = architecture.embed(weights, { inputIds, positionIds }, config); // [tokens, hiddenSize]
  const move = moveTokens ? tokenMover(graph, moveTokens) : null;
  if (depth === 0 && !pool) hidden = last(hidden);
  const contexts = depth > 0 ? attentionContexts({ positionIds, gridIndex, tokenCell, lastToken }, config, last) : null;
  const pastLogWeight = depth > 0 ? graph.input(graphNames.pastLogWeight, "float32", [1]) : null;
  for (let i = 0; i < depth; i++) {
    if (alsoRead.includes(i)) graph.output(read(hidden), graphNames.state(i));
    hidden = move?.(hidden, i) ?? hidden;
    const kind = i === depth - 1 && !pool ? "lastToken" : "allTokens";
    const context = { ...contexts![kind], ...cachedKeyValues(graph, config, i, pastLogWeight!) };
    hidden = architecture.layer(weights.at(architecture.layerScope(i)), hidden, context, config);
  }
  if (depth === config.numLayers) hidden = architecture.finalNorm(weights, hidden, config);
  graph.output(pool ? matmul(pool, hidden) : hidden, graphNames.embedding);
  if (checkpoint.activations === "float16") computeInFloat16(graph);
  else logSumFromShares(graph);
  nameOutputs(graph);
  prune(graph);
  const { numKeyValueHeads, headDim } = config;
  return { graph, layers: depth, numKeyValueHeads, headDim, poolsTokens, movesTokens: move !== null };
}

/** Replaces the hidden states in front of some layers. @see src/text/variants/token-prepending.ts */
function tokenMover(graph: Graph, { fromLayer, toLayer }: TokenPrepending): (hidden: Value, layer: number) => Value {
  const source = graph.input(graphNames.sourceToken, "int64", ["tokens"]);
  return (hidden, layer) => (layer >= fromLayer && layer < toLayer ? gather(hidden, source) : hidden);
}

/** Number of layers up to the one that is read. */
export function readDepth(layer: number | "last", config: DecoderConfig): number {
  const depth = layer === "last" ? config.numLayers : layer;
  if (Number.isInteger(depth) && depth >= 0 && depth <= config.numLayers) return depth;
  throw new InputError("bad-option", `layer ${layer}: the model has layers 0 to ${config.numLayers}, or "last".`);
}

type SharedContext = Omit<AttentionContext, "past" | "present">;

/** Where the tokens of a batch are: see buildInferenceGraph. */
export interface LayoutInputs {
  readonly positionIds: Value;
  readonly gridIndex: Value;
  readonly tokenCell: Value;
  readonly lastToken: Value;
  /** Of graphs that are differentiated, see buildForwardGraph; grid_index is [rows, length] then. */
  readonly packed?: PackedRows & { readonly repeatedCell: Value };
}

/** Inputs that say the tokens of a batch and where they are. */
export function sequenceInputs(graph: Graph, gridRows = "batch"): LayoutInputs & { readonly inputIds: Value } {
  return {
    inputIds: graph.input(graphNames.inputIds, "int64", ["tokens"]),
    positionIds: graph.input(graphNames.positionIds, "int64", ["tokens"]),
    gridIndex: graph.input(graphNames.gridIndex, "int64", [gridRows, "length"]),
    tokenCell: graph.input(graphNames.tokenCell, "int64", ["tokens"]),
    lastToken: graph.input(graphNames.lastToken, "int64", ["batch"]),
  };
}

/** What attention needs, once for layers that work for every token and once for the topmost. */
export function attentionContexts(
  inputs: LayoutInputs,
  config: DecoderConfig,
  last: (rows: Value) => Value,
): { allTokens: SharedContext; lastToken: SharedContext } {
  const { positionIds, gridIndex, tokenCell, lastToken, packed } = inputs;
  const places = { index: gridIndex, cell: tokenCell, repeatedCell: packed?.repeatedCell };
  const group = config.numHeads / config.numKeyValueHeads;
  const keyHeads = { ...config, numHeads: config.numKeyValueHeads };
  const keys = { keyGrid: headGrid(places, keyHeads), rotateKeys: rotateAt(positionIds, config.rotary) };
  return {
    allTokens: {
      ...keys,
      queries: (hidden) => hidden,
      queryGrid: headGrid(packed ? { index: packed.queryIndex, cell: packed.queryCell } : places, config),
      rotateQueries: keys.rotateKeys,
      mask: packed ? packedMask(places, positionIds, packed.queryIndex, group) : causalMask(gridIndex, group),
    },
    lastToken: {
      ...keys,
      queries: last,
      queryGrid: headGrid(lastTokenPlaces(inputs), config),
      rotateQueries: rotateAt(last(positionIds), config.rotary),
      mask: packed
        ? packedMask(places, positionIds, gather(lastToken, packed.slotIndex), group)
        : lastTokenMask(gridIndex, lastPositions(gridIndex, tokenCell, lastToken)),
    },
  };
}

/** Of queries that are one for each sequence. */
function lastTokenPlaces({ gridIndex, packed }: LayoutInputs): GridPlaces {
  if (packed) return { index: packed.slotIndex, cell: packed.slotCell };
  const row = range(sizes(gridIndex, 0, 1), "batch"); // the query of sequence i is row i
  return { index: reshape(row, ["batch", 1]), cell: row };
}

function cachedKeyValues(
  graph: Graph,
  config: DecoderConfig,
  i: number,
  logWeight: Value,
): Pick<AttentionContext, "past" | "present"> {
  const shape = [config.numKeyValueHeads, "past", config.headDim];
  return {
    past: {
      key: graph.input(graphNames.pastKey(i), "float32", shape),
      value: graph.input(graphNames.pastValue(i), "float32", shape),
      logWeight,
    },
    present: ({ key, value }: KeyValues) => {
      graph.output(key, graphNames.presentKey(i));
      graph.output(value, graphNames.presentValue(i));
    },
  };
}
