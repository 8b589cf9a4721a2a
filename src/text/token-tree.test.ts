import fc from "fast-check";
import { expect, test } from "vitest";
import { type TokenSequence, TokenTree } from "./token-tree.ts";

const sequence = fc.record({
  ids: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 8 }),
  shareable: fc.integer({ min: -1, max: 9 }),
});
const sequences = fc.array(sequence, { maxLength: 30 });

function treeOf(all: readonly TokenSequence[]): TokenTree {
  const tree = new TokenTree();
  for (const one of all) tree.add(one);
  return tree;
}

test("every path spells its sequence, each token at its place", () => {
  fc.assert(
    fc.property(sequences, (all) => {
      const { ids, positions, paths, longest } = treeOf(all);
      expect(paths.map((path) => path.map((token) => ids[token]))).toEqual(all.map((one) => one.ids));
      for (const path of paths) expect(path.map((token) => positions[token])).toEqual([...path.keys()]);
      expect(longest).toBe(Math.max(0, ...all.map((one) => one.ids.length)));
    }),
  );
});

test("tokens of two sequences are one exactly where both may share them and all before are equal", () => {
  fc.assert(
    fc.property(sequence, sequence, (a, b) => {
      const { paths } = treeOf([a, b]);
      const limit = Math.min(a.shareable, b.shareable, a.ids.length - 1, b.ids.length - 1);
      const differs = a.ids.findIndex((id, i) => i >= limit || id !== b.ids[i]);
      const common = paths[0]!.filter((token, i) => token === paths[1]![i]).length;
      expect(common).toBe(differs);
    }),
  );
});

test("growth says beforehand how many tokens a sequence adds", () => {
  fc.assert(
    fc.property(sequences, sequence, (all, one) => {
      const tree = treeOf(all);
      const [before, growth] = [tree.ids.length, tree.growth(one)];
      tree.add(one);
      expect(tree.ids.length - before).toBe(growth);
    }),
  );
});

test("equal sequences differ in their last token, which is read", () => {
  expect(TokenTree.of([[5, 6, 7], [5, 6, 7], [5]]).paths).toEqual([[0, 1, 2], [0, 1, 3], [4]]);
});
