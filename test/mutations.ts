import fc from "fast-check";

/** What a hostile or careless hand puts into JSON: wrong kinds, huge and negative numbers, names of Object.prototype. */
const strange = fc.oneof(
  fc.constantFrom<unknown>(null, true, 0, -1, 1.5, 2 ** 31, 2 ** 53, 1e308, "", "__proto__", "../x", "\ud800", [], {}),
  fc.jsonValue({ maxDepth: 2 }),
);

/** A JSON value with one to three places replaced, removed or doubled, wherever they lie. */
export function mutatedJson(whole: unknown): fc.Arbitrary<unknown> {
  const change = fc.record({
    steps: fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
    action: fc.constantFrom("replace", "remove", "double"),
    value: strange,
  });
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
    const copy: unknown = structuredClone(whole);
    for (const { steps, action, value } of changes) changeAt(copy, steps, action, value);
    return copy;
  });
}

function changeAt(root: unknown, [step = 0, ...rest]: readonly number[], action: string, value: unknown): void {
  if (typeof root !== "object" || root === null) return;
  const keys = Object.keys(root);
  if (keys.length === 0) return;
  const key = keys[step % keys.length]!;
  const holder = root as Record<string, unknown>;
  const inner = holder[key];
  if (rest.length > 0 && typeof inner === "object" && inner !== null) changeAt(inner, rest, action, value);
  else if (action === "remove" && Array.isArray(root)) root.splice(Number(key), 1);
  else if (action === "remove") delete holder[key];
  else if (action === "double" && Array.isArray(root)) root.push(structuredClone(inner));
  else holder[key] = value;
}

/** Bytes of which some are replaced, and the end may be missing. */
export function mutatedBytes(whole: Uint8Array): fc.Arbitrary<Buffer> {
  const change = fc.tuple(fc.nat(Math.max(0, whole.length - 1)), fc.nat(255));
  const length = fc.oneof({ weight: 3, arbitrary: fc.constant(whole.length) }, fc.nat(whole.length));
  return fc.tuple(fc.array(change, { maxLength: 5 }), length).map(([changes, end]) => {
    const copy = Buffer.from(whole);
    for (const [at, byte] of changes) copy[at] = byte;
    return copy.subarray(0, end);
  });
}
