const powersOfTen = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));
const float32 = new Float32Array(1);
const float32Bits = new Uint32Array(float32.buffer);

/** Most bytes `writeFloat32` needs: a sign and the 21 digits of numbers below 1e21, which JavaScript writes out. */
export const maxFloat32Bytes = 22;

/**
 * True if the decimal whose nearest double is `decimal` reads as `value`, by way of a double or straight to float32.
 * A double that is the very midpoint of two floats is refused: the two ways could then round apart.
 */
function readsAs(decimal: number, value: number): boolean {
  if (Math.fround(decimal) !== value) return false;
  const reflected = decimal + (decimal - value);
  return decimal === value || Math.fround(reflected) !== reflected;
}

/** Every magnitude, slowly: from 1 to 9 digits, the nearest decimal and, where a binade begins, the next one up. */
function shortestAnyMagnitude(value: number): string {
  const magnitude = Math.abs(value);
  const sign = value < 0 ? "-" : "";
  for (let digits = 1; digits <= 9; digits++) {
    const [mantissa = "", exponent = ""] = magnitude.toExponential(digits - 1).split("e");
    const nextUp = `${BigInt(mantissa.replace(".", "")) + 1n}e${Number(exponent) - digits + 1}`;
    for (const candidate of [Number(`${mantissa}e${exponent}`), Number(nextUp)]) {
      if (readsAs(candidate, magnitude)) return sign + String(candidate);
    }
  }
  return sign + String(magnitude);
}

function writeAscii(text: string, bytes: Uint8Array, offset: number): number {
  for (let i = 0; i < text.length; i++) bytes[offset + i] = text.charCodeAt(i);
  return offset + text.length;
}

/** Writes `digits` × 10^−decimals, without trailing zeros. */
function writeDecimal(digits: number, decimals: number, bytes: Uint8Array, start: number): number {
  let offset = start;
  while (decimals > 0 && digits % 10 === 0) {
    digits /= 10;
    decimals -= 1;
  }
  let length = 1;
  while (length < 10 && digits >= powersOfTen[length]!) length++;
  const integerDigits = length - decimals;
  if (integerDigits <= 0) {
    bytes[offset++] = 48;
    bytes[offset++] = 46;
    for (let zeros = integerDigits; zeros < 0; zeros++) bytes[offset++] = 48;
  }
  const pointAfter = integerDigits > 0 && decimals > 0 ? integerDigits : -1;
  const end = offset + length + (pointAfter > 0 ? 1 : 0);
  let rest = digits;
  for (let at = end - 1; at >= offset; at--) {
    if (at === offset + pointAfter) bytes[at] = 46;
    else {
      const quotient = Math.trunc(rest / 10);
      bytes[at] = 48 + (rest - quotient * 10);
      rest = quotient;
    }
  }
  return end;
}

/**
 * Writes the shortest decimal that reads back as the same float32, as ASCII and valid JSON.
 * Six digits always survive decimal → float32 → decimal and nine always name a float32 (FLT_DIG and FLT_DECIMAL_DIG
 * of C), so only 6, 7, 8 and 9 digits are tried; m / 10^k is one correctly rounded division, hence what a parser gets.
 * @param value  finite, exactly a float32; −0 keeps its sign
 * @param bytes  at least `maxFloat32Bytes` free at `offset`
 * @returns the offset behind the last byte
 */
export function writeFloat32(value: number, bytes: Uint8Array, offset: number): number {
  const magnitude = Math.abs(value);
  if (magnitude === 0) return writeAscii(Object.is(value, -0) ? "-0" : "0", bytes, offset);
  float32[0] = magnitude;
  const startsBinade = (float32Bits[0]! & 0x7fffff) === 0;
  if (!(magnitude >= 1e-6 && magnitude < 1e6) || startsBinade) {
    return writeAscii(shortestAnyMagnitude(value), bytes, offset);
  }
  let decimals = 0;
  while (magnitude * powersOfTen[decimals]! < 1e5) decimals++;
  for (const last = decimals + 3; decimals <= last; decimals++) {
    const scale = powersOfTen[decimals]!;
    const digits = Math.round(magnitude * scale);
    if (readsAs(digits / scale, magnitude)) {
      if (value < 0) bytes[offset++] = 45;
      return writeDecimal(digits, decimals, bytes, offset);
    }
  }
  return writeAscii(shortestAnyMagnitude(value), bytes, offset);
}

/** `writeFloat32` as a string. */
export function float32Text(value: number): string {
  const bytes = Buffer.alloc(maxFloat32Bytes);
  return bytes.toString("latin1", 0, writeFloat32(value, bytes, 0));
}
