/**
 * fault-plan: which ranges of a device fail, and how, as plain JSON: drawn from a seed, printed, read back, applied. A random run that
 * failed is stored as its plan, and is the same run wherever it is applied.
 *
 *     {"schema": "theriac.faults/1", "seed": 7, "size": 1048576,
 *      "device": {"poisonUnit": 64, "clearUnit": 256, "clear": "firmware"},
 *      "faults": [{"kind": "poison", "offset": 4096, "length": 128, "latent": true}]}
 */
import {
  checkRange,
  createPrng,
  isPromise,
  StorageError,
  type ByteRange,
  type MaybePromise,
  type Prng,
} from "../base/index.ts";
import type { FaultKind } from "../poison/index.ts";
import type { ClearKind, ManagedDevice } from "./device.ts";
import { checkSettings } from "./image-settings.ts";
import type { FaultyDevice, SimulatedDevice } from "./simulated-device.ts";

/** One range that fails. Bytes. */
export interface PlannedFault extends ByteRange {
  readonly kind: FaultKind;
  /** Of poison: whether nobody knows of it before something touches it. @default false */
  readonly latent?: boolean;
}

/** Which ranges of a device fail, and how. */
export interface FaultPlan {
  readonly schema: "theriac.faults/1";
  /** What it was drawn from; `null` where it was written by hand. */
  readonly seed: number | null;
  /** Bytes of the device it is for. */
  readonly size: number;
  /** The device it is for. */
  readonly device: {
    readonly poisonUnit: number;
    readonly clearUnit: number;
    readonly clear: ClearKind;
  };
  /** In the order in which they are applied. */
  readonly faults: readonly PlannedFault[];
}

/** What a random plan is drawn with. */
export interface RandomFaultsOptions {
  /** Bytes of the device; a multiple of the clear unit. */
  readonly size: number;
  /** Bytes. @default 64 */
  readonly poisonUnit?: number;
  /** Bytes. @default as `ImageSettings` */
  readonly clearUnit?: number;
  /** @default "firmware" */
  readonly clear?: ClearKind;
  /** Number of faults, from 0. @default 16 */
  readonly count?: number;
  /** Longest fault in bytes; lengths up to it are drawn so that each power of two is as likely. @default 64 KiB, or the size */
  readonly longest?: number;
  /** Chance of a poisoned range to be latent, from 0 to 1. @default 0.3 */
  readonly latent?: number;
  /** How often each kind is drawn, against the others. @default poison alone */
  readonly rates?: Readonly<Partial<Record<FaultKind, number>>>;
}

/** Every kind of fault, in the order that help texts show. */
export const FAULT_KINDS: readonly FaultKind[] = [
  "poison",
  "transient",
  "refuses",
  "partial",
  "slow",
];

/** Faults of one plan at most: what a person or a program still means. */
const MAX_FAULTS = 1_000_000;
const SCHEMA = "theriac.faults/1";

/**
 * Draws a plan. Ranges are whole poison units; they may overlap.
 *
 * @param random a seed, from 0 to 2^32, or a stream; the plan depends on it and the options alone
 * @throws {RangeError} if size and units do not fit each other, or a rate or a count is no number from 0
 */
export function randomFaultPlan(random: number | Prng, options: RandomFaultsOptions): FaultPlan {
  const { size, count = 16, latent = 0.3, rates = { poison: 1 } } = options;
  const prng = typeof random === "number" ? createPrng(random) : random;
  const { poisonUnit, clearUnit, clear } = checkSettings(options, size);
  const longest = Math.min(options.longest ?? 64 * 1024, size);
  const numbers = [count, latent, longest, ...Object.values(rates)];
  if (numbers.some((value) => !(value >= 0)) || count > MAX_FAULTS) {
    throw new RangeError(`Cannot draw faults: want 0 to ${MAX_FAULTS} of them, and rates from 0`);
  }
  const units = size / poisonUnit;
  const most = Math.max(1, Math.floor(longest / poisonUnit));
  const faults = Array.from({ length: count }, (): PlannedFault => {
    const kind = drawKind(prng, rates);
    const offset = prng.below(units);
    const length = Math.min(drawLength(prng, most), units - offset);
    const range = { offset: offset * poisonUnit, length: length * poisonUnit };
    const isLatent = prng.chance(latent);
    return kind === "poison" ? { kind, ...range, latent: isLatent } : { kind, ...range };
  });
  const device = { poisonUnit, clearUnit, clear };
  return { schema: SCHEMA, seed: prng.seed, size, device, faults };
}

/** How often a plan of all kinds holds each. */
const MIXED_RATES = { poison: 8, transient: 1, refuses: 1, partial: 1, slow: 1 } as const;

/**
 * Draws a plan of all kinds for a device: the same seed, count and device give the same plan, whoever asks.
 *
 * @throws {RangeError} as `randomFaultPlan`
 */
export function drawFaultPlan(
  device: Pick<ManagedDevice, "size" | "capabilities">,
  { seed, count }: { readonly seed: number; readonly count: number },
): FaultPlan {
  const { poisonUnit, clearUnit, clear } = device.capabilities;
  const { size } = device;
  return randomFaultPlan(seed, { size, poisonUnit, clearUnit, clear, count, rates: MIXED_RATES });
}

function drawKind(prng: Prng, rates: Readonly<Partial<Record<FaultKind, number>>>): FaultKind {
  const sum = FAULT_KINDS.reduce((total, kind) => total + (rates[kind] ?? 0), 0);
  let place = (prng.below(2 ** 32) / 2 ** 32) * sum;
  for (const kind of FAULT_KINDS) {
    place -= rates[kind] ?? 0;
    if (place < 0) return kind;
  }
  return "poison";
}

/** From 1 to `most`, each power of two as likely as the others. */
function drawLength(prng: Prng, most: number): number {
  const power = 2 ** prng.below(Math.floor(Math.log2(most)) + 1);
  return Math.min(most, power + prng.below(power));
}

/**
 * Does what a plan says. Durable on return.
 *
 * @returns the ranges as the device rounded them out, in the plan's order
 * @throws {StorageError} ESTALE if the plan is for a device of another size; nothing is changed then
 */
export function applyFaultPlan(device: SimulatedDevice, plan: FaultPlan): ByteRange[];
/** The same for a stack of simulated devices. @throws {StorageError} ESTALE if the plan is for a device of another size */
export function applyFaultPlan(device: FaultyDevice, plan: FaultPlan): MaybePromise<ByteRange[]>;
/** Either. @throws {StorageError} ESTALE if the plan is for a device of another size */
export function applyFaultPlan(device: FaultyDevice, plan: FaultPlan): MaybePromise<ByteRange[]> {
  if (plan.size !== device.size) {
    throw new StorageError(
      "ESTALE",
      `Cannot apply faults to ${device.identity.name}: want a plan for ${device.size} bytes: got one for ${plan.size}`,
      { path: device.identity.name, syscall: "inject" },
    );
  }
  const done = plan.faults.map(({ kind, offset, length, latent = false }): ByteRange => {
    if (kind === "poison") return device.inject({ offset, length }, { latent });
    device.setFault({ offset, length, kind, on: true });
    return { offset, length };
  });
  const flushed = device.flush();
  return isPromise(flushed) ? flushed.then(() => done) : done;
}

/** A plan as text: JSON, one fault a line. */
export function formatFaultPlan(plan: FaultPlan): string {
  const { faults, ...head } = plan;
  const lines = faults.map((fault) => `\n  ${JSON.stringify(fault)}`).join(",");
  return `${JSON.stringify(head).slice(0, -1)},"faults":[${lines}\n]}\n`;
}

/**
 * Reads a plan from text.
 *
 * @param name of the text, for messages
 * @throws {StorageError} EBADMSG if it is not JSON, of another schema, or says what no device has; the place is named
 */
export function parseFaultPlan(text: string, name: string): FaultPlan {
  const bad = (wish: string, cause?: unknown): StorageError =>
    new StorageError("EBADMSG", `Cannot use the plan of faults ${name}: ${wish}`, {
      path: name,
      cause,
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad(`want JSON: ${(error as Error).message}`, error);
  }
  const { schema, seed, size, device, faults } = fieldsOf(value);
  if (schema !== SCHEMA)
    throw bad(`want schema ${SCHEMA}: got ${JSON.stringify(schema)?.slice(0, 40)}`);
  if (!Array.isArray(faults) || faults.length > MAX_FAULTS)
    throw bad(`want a list of at most ${MAX_FAULTS} faults`);
  try {
    const { poisonUnit, clearUnit, clear } = fieldsOf(device);
    const units = { poisonUnit, clearUnit, clear } as FaultPlan["device"];
    if (poisonUnit === undefined || clearUnit === undefined || clear === undefined)
      throw new TypeError("want poisonUnit, clearUnit and clear of the device");
    checkSettings(units, size as number);
    const known = faults.map((fault, at) => faultOf(fault, at, size as number));
    return {
      schema: SCHEMA,
      seed: typeof seed === "number" ? seed : null,
      size: size as number,
      device: units,
      faults: known,
    };
  } catch (error) {
    throw bad((error as Error).message, error);
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function faultOf(value: unknown, at: number, size: number): PlannedFault {
  const { kind, offset, length, latent } = fieldsOf(value);
  const known = FAULT_KINDS.find((one) => one === kind);
  if (known === undefined)
    throw new RangeError(`fault ${at}: want one of ${FAULT_KINDS.join(", ")}`);
  const range = { offset: offset as number, length: length as number };
  try {
    checkRange(range, size);
  } catch (error) {
    throw new RangeError(`fault ${at}: ${(error as Error).message}`, { cause: error });
  }
  if (range.length === 0) throw new RangeError(`fault ${at}: want a length above 0`);
  if (latent !== undefined && (typeof latent !== "boolean" || (latent && known !== "poison")))
    throw new TypeError(`fault ${at}: want latent true or false, of poison`);
  return latent === undefined ? { kind: known, ...range } : { kind: known, ...range, latent };
}
