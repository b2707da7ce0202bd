/** contexts: the metadata contexts that an export has, which of them a client asked for, and their numbers. */
import { ALLOCATION_CONTEXT, DEVICE_CONTEXT, POISON_CONTEXT } from "../device/index.ts";

/** A context by its number on the wire: fixed, because there are few. */
export interface Context {
  readonly id: number;
  readonly name: string;
}

/** Every context, of every export. */
export const CONTEXTS: readonly Context[] = [
  { id: 1, name: ALLOCATION_CONTEXT },
  { id: 2, name: POISON_CONTEXT },
  { id: 3, name: DEVICE_CONTEXT },
];

/** What LIST_META_CONTEXT answers: of each query its context, or for `namespace:` all of it; without a query all there are. */
export function listedContexts(queries: readonly string[]): readonly Context[] {
  if (queries.length === 0) return CONTEXTS;
  const wanted = new Set(queries);
  return CONTEXTS.filter(
    ({ name }) => wanted.has(name) || wanted.has(name.slice(0, name.indexOf(":") + 1)),
  );
}

/** What SET_META_CONTEXT selects: contexts by their whole names alone; what nobody knows selects nothing. */
export function selectedContexts(queries: readonly string[]): readonly Context[] {
  const wanted = new Set(queries);
  return CONTEXTS.filter(({ name }) => wanted.has(name));
}
