/** What JSON can hold. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonRecord;
export type JsonRecord = { readonly [key: string]: JsonValue };

/** Whether a parsed value is a JSON object (neither null nor a list). */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
