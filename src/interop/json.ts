/** What JSON can hold. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonRecord;

/** A JSON object. A key with the value undefined is one that is left out. */
export type JsonRecord = { readonly [key: string]: JsonValue | undefined };

/** Whether a parsed value is a JSON object (neither null nor a list). */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
