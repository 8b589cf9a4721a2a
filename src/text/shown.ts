/** The beginning of a value as JSON; "nested too deep" for what JSON.stringify gives up on. */
export function shown(value: unknown): string {
  try {
    const json = JSON.stringify(value);
    return json.length > 200 ? `${json.slice(0, 200)}…` : json;
  } catch {
    return "nested too deep";
  }
}
