/** The beginning of a value as JSON, whole numbers of 64 bits among them; "nested too deep" for what JSON.stringify gives up on. */
export function shown(value: unknown): string {
  try {
    if (typeof value === "bigint") return String(value);
    const json = JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? String(inner) : inner)) ?? "nothing";
    return json.length > 200 ? `${json.slice(0, 200)}…` : json;
  } catch {
    return "nested too deep";
  }
}
