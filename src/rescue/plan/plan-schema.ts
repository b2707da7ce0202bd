/** PlanSchema: the shape of `theriac.plan/1`, checked because others may have written the file. */
import * as z from "zod";
import { OWNER_WHATS } from "../../fs/index.ts";
import type { Plan, StepOwner } from "./plan-file.ts";

const bytes = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const index = z.number().int().min(0).max(1_000_000);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const path = z.string().max(65536);
const neighbour = z.object({ offset: bytes, length: bytes.max(65536), sha256 });

/** Whose bytes a step is about. */
export const ownerSchema: z.ZodType<StepOwner> = z.object({
  kind: z.enum(["file", "directory", "metadata", "journal", "slack", "free", "unknown"]),
  what: z.enum(OWNER_WHATS),
  volume: index.optional(),
  inode: bytes.optional(),
  path: path.optional(),
  fileOffset: bytes.optional(),
  sharers: z.array(path).max(64).optional(),
});

const step = z.object({
  id: bytes,
  offset: bytes,
  length: bytes.min(1),
  state: z.enum(["poisoned", "lost"]),
  action: z.enum(["write", "zero", "refused", "unavailable", "left"]),
  owner: ownerSchema,
  donor: z
    .object({
      index,
      from: z.enum(["file", "volume", "twin"]),
      path: path.optional(),
      offset: bytes,
    })
    .optional(),
  grade: z.enum(["proven", "consistent", "refused"]).optional(),
  sha256: sha256.optional(),
  neighbours: z.object({ before: neighbour.optional(), after: neighbour.optional() }).optional(),
  reason: z.string(),
});

const volume = z.object({
  name: z.string(),
  offset: bytes,
  length: bytes,
  filesystem: z.string().nullable(),
  uuid: z.string().nullable(),
  generation: z.string().nullable(),
});

/** A whole plan. */
export const planSchema: z.ZodType<Plan> = z.object({
  schema: z.literal("theriac.plan/1"),
  target: z.object({
    path,
    size: bytes,
    uuid: z.string().nullable(),
    generation: bytes,
    volumes: z.array(volume),
  }),
  donors: z.array(z.object({ name: path, kind: z.enum(["directory", "image"]) })),
  trust: z.enum(["proven", "consistent", "anything"]),
  totals: z.object({ total: bytes, clean: bytes, unread: bytes, poisoned: bytes, lost: bytes }),
  sums: z.object({
    bad: bytes,
    write: bytes,
    zero: bytes,
    refused: bytes,
    unavailable: bytes,
    left: bytes,
  }),
  steps: z.array(step),
});
