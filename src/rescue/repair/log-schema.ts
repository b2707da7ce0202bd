/** LogSchema: the shapes of the records of `theriac.log/1`, checked because a log may be anybody's text. */
import * as z from "zod";
import { ownerSchema } from "../plan/plan-schema.ts";
import type { LogRecord } from "./log-record.ts";

const bytes = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const run = bytes.min(1);
const totals = z.object({
  total: bytes,
  clean: bytes,
  unread: bytes,
  poisoned: bytes,
  lost: bytes,
});

const begun = z.object({
  record: z.literal("run"),
  schema: z.literal("theriac.log/1"),
  run,
  what: z.enum(["repair", "acknowledge", "undo"]),
  at: z.string(),
  target: z.object({
    path: z.string(),
    size: bytes,
    uuid: z.string().nullable(),
    generation: bytes,
  }),
  totals,
  steps: bytes,
  repair: z
    .object({
      donors: z.array(z.string()),
      trust: z.enum(["proven", "consistent", "anything"]),
      free: z.boolean(),
      digest: z.string().optional(),
      plan: sha256,
      given: z.boolean(),
    })
    .optional(),
  why: z.string().optional(),
  undoes: run.optional(),
});

const resumed = z.object({
  record: z.literal("resumed"),
  run,
  at: z.string(),
  generation: bytes,
  totals,
});

const step = z.object({
  record: z.literal("step"),
  run,
  step: bytes,
  offset: bytes,
  length: bytes.min(1),
  action: z.enum(["write", "zero", "lost"]),
  was: z.enum(["poisoned", "lost", "clean"]),
  owner: ownerSchema,
  donor: z.string().optional(),
  grade: z.enum(["proven", "consistent", "refused"]).optional(),
  sha256,
  kept: bytes.optional(),
});

const done = z.object({
  record: z.literal("done"),
  run,
  step: bytes,
  outcome: z.enum(["healed", "partly-healed", "failed", "donor-changed", "skipped", "undone"]),
  healed: bytes,
  reason: z.string().optional(),
});

const ended = z.object({
  record: z.literal("end"),
  run,
  at: z.string(),
  result: z.enum(["complete", "stale"]),
  totals,
});

/** One record. */
export const recordSchema: z.ZodType<LogRecord> = z.discriminatedUnion("record", [
  begun,
  resumed,
  step,
  done,
  ended,
]);
