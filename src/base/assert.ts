/** assert: our own bugs, by the name of the rule they broke. The world's failures are in errors.ts. */

/** A broken invariant of ours. Nobody catches it: the process stops (design, "Errors"). */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/**
 * Stops the process when a rule of our own does not hold.
 *
 * @param condition what must be true
 * @param rule the rule, as a sentence: "R2: a recovery write stays inside its clear units"
 * @throws {AssertionError} if `condition` is false
 */
export function assert(condition: boolean, rule: string): asserts condition {
  if (!condition) throw new AssertionError(rule);
}
