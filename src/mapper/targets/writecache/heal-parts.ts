/** heal-parts: bad bytes are healed where they are kept: one batch for the cache, one for the origin. */
import type { MaybePromise } from "../../../base/index.ts";
import type { Device, ManagedDevice } from "../../../device/index.ts";
import { inTurn } from "../../in-turn.ts";
import { after } from "../../after.ts";
import { rescued } from "./steps.ts";
import type { PlacedPart } from "./bad-parts.ts";
import { errorInTarget } from "./part-errors.ts";

/** A part with the bytes for it. */
export interface PartWrite extends PlacedPart {
  readonly data: Uint8Array;
}

/** Heals parts. @returns for each, in order, `undefined` or why it failed, told of the target `name` */
export function healParts(
  writes: readonly PartWrite[],
  name: string,
): MaybePromise<(Error | undefined)[]> {
  const answers: (Error | undefined)[] = writes.map(() => undefined);
  const devices = [...new Set(writes.map(({ part }) => part.device))];
  const done = inTurn(devices, (device) => {
    const numbers = writes.flatMap(({ part }, number) => (part.device === device ? [number] : []));
    const batch = numbers.map((number) => writes[number] as PartWrite);
    return after(healOn(device, batch), (errors) => {
      for (const [index, error] of errors.entries()) {
        const number = numbers[index] as number;
        if (error !== undefined)
          answers[number] = errorInTarget(error, writes[number] as PartWrite, name) as Error;
      }
    });
  });
  return after(done, () => answers);
}

/** Heals parts of one device; a failure of the device itself is each one's failure. */
function healOn(
  device: Device,
  batch: readonly PartWrite[],
): MaybePromise<readonly (Error | undefined)[]> {
  const inner = batch.map(({ part, data }) => ({ offset: part.offset, data }));
  return rescued(
    () => (device as ManagedDevice).heal(inner),
    (error) => batch.map(() => error as Error),
  );
}
