/** request-check: what of a request is wrong, before anything is done: flags, permission, place. */
import { NBD_COMMAND, NBD_COMMAND_FLAG, NBD_ERROR, type RequestHeader } from "../device/index.ts";
import { isInside, PAYLOAD_MAX, type NbdExport } from "./export.ts";
import type { Failure } from "./replies.ts";

const { FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO, PAYLOAD_LEN } = NBD_COMMAND_FLAG;

/** Flags that each command takes; FUA is for any of them, as the specification wants where SEND_FUA is offered. */
const FLAGS: Readonly<Record<number, number>> = {
  [NBD_COMMAND.READ]: FUA | DF,
  [NBD_COMMAND.WRITE]: FUA,
  [NBD_COMMAND.FLUSH]: FUA,
  [NBD_COMMAND.TRIM]: FUA,
  [NBD_COMMAND.CACHE]: FUA,
  [NBD_COMMAND.WRITE_ZEROES]: FUA | NO_HOLE | FAST_ZERO,
  [NBD_COMMAND.BLOCK_STATUS]: FUA | REQ_ONE,
};

/** Longest read that is answered in one chunk where the client wants that, in bytes; at least 64 KiB. */
export const DF_MAX: number = 1024 * 1024;

/** What a request comes with. */
export interface RequestContext {
  readonly face: NbdExport;
  readonly form: "simple" | "structured" | "extended";
  /** Whether BLOCK_STATUS has a context to speak of. */
  readonly hasContexts: boolean;
}

/** Why a request cannot be tried; `undefined` where it can. */
export function problemOf(request: RequestHeader, context: RequestContext): Failure | undefined {
  const { type, flags } = request;
  const known = FLAGS[type];
  if (known === undefined) return invalid(`This server knows no command ${type}`);
  const isExtended = context.form === "extended";
  const withPayload = isExtended && type === NBD_COMMAND.WRITE ? PAYLOAD_LEN : 0;
  const withDf = context.form === "simple" ? DF : 0;
  if ((flags & ~(known | withPayload)) !== 0 || (flags & withDf) !== 0)
    return invalid(`Command ${type} has no such flags: got ${flags}`);
  if (withPayload !== 0 && (flags & PAYLOAD_LEN) === 0)
    return invalid("Want the flag PAYLOAD_LEN with a write");
  return changeProblem(request, context) ?? placeProblem(request, context);
}

function changeProblem({ type }: RequestHeader, { face }: RequestContext): Failure | undefined {
  const isChange =
    type === NBD_COMMAND.WRITE || type === NBD_COMMAND.TRIM || type === NBD_COMMAND.WRITE_ZEROES;
  if (!isChange || !face.readOnly) return undefined;
  return { errno: NBD_ERROR.EPERM, text: `${face.name} is exported for reading` };
}

function placeProblem(request: RequestHeader, context: RequestContext): Failure | undefined {
  const { type, offset, length } = request;
  if (type === NBD_COMMAND.FLUSH) {
    return offset === 0 && length === 0
      ? undefined
      : invalid("Want a flush without offset and length");
  }
  const { face, hasContexts } = context;
  if (!isInside(face, request)) {
    const text = `Offset ${offset} and length ${length} end past the export, which has ${face.size} bytes`;
    const isWrite = type === NBD_COMMAND.WRITE || type === NBD_COMMAND.WRITE_ZEROES;
    return isWrite ? { errno: NBD_ERROR.ENOSPC, text } : invalid(text);
  }
  if (type === NBD_COMMAND.BLOCK_STATUS && (length === 0 || !hasContexts))
    return invalid(hasContexts ? "Want a length above 0" : "No metadata context is agreed on");
  return lengthProblem(request);
}

function lengthProblem({ type, flags, length }: RequestHeader): Failure | undefined {
  const isRead = type === NBD_COMMAND.READ;
  if ((isRead || type === NBD_COMMAND.WRITE) && length > PAYLOAD_MAX)
    return invalid(`Want at most ${PAYLOAD_MAX} bytes at once: got ${length}`);
  if (!isRead || (flags & DF) === 0 || length <= DF_MAX) return undefined;
  const text = `Want at most ${DF_MAX} bytes in one chunk: got ${length}`;
  return { errno: NBD_ERROR.EOVERFLOW, text };
}

function invalid(text: string): Failure {
  return { errno: NBD_ERROR.EINVAL, text };
}
