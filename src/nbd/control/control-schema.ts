/** control-schema: the shape of a request over a control socket. */
import * as z from "zod";
import { FAULT_KINDS } from "../../device/index.ts";
import type { ControlRequest } from "./control-messages.ts";

const bytes = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** Every request. */
export const REQUEST: z.ZodType<ControlRequest> = z.discriminatedUnion("op", [
  z.object({ op: z.enum(["status", "list", "scrub"]) }),
  z.object({
    op: z.literal("inject"),
    ranges: z.array(z.object({ offset: bytes, length: bytes })),
    fault: z.enum(FAULT_KINDS),
    latent: z.boolean(),
    on: z.boolean(),
  }),
  z.object({ op: z.literal("plan"), text: z.string() }),
  z.object({ op: z.literal("draw"), seed: bytes, count: bytes.min(1) }),
]);
