/**
 * haggling: the messages of the handshake and of its options, put into bytes and read out of them.
 *
 * Readers take bytes of any length from anybody and answer `undefined` where they are not of the form that the specification gives them. How long
 * an option may be is for the caller to bound, before it keeps any.
 */
import { NBD_INFO, NBD_MAGIC, NBD_STRING_MAX } from "./protocol.ts";
import { getU16, getU32, getU64, putU16, putU32, putU64 } from "./words.ts";

/** Bytes of the greeting of a server. */
export const GREETING_BYTES = 18;
/** Bytes of an option before its payload. */
export const OPTION_BYTES = 16;
/** Bytes of a reply to an option before its payload. */
export const OPTION_REPLY_BYTES = 20;

function isMagic(bytes: Uint8Array, at: number, magic: readonly [number, number]): boolean {
  return getU32(bytes, at) === magic[0] && getU32(bytes, at + 4) === magic[1];
}

function putMagic(bytes: Uint8Array, at: number, magic: readonly [number, number]): void {
  putU32(bytes, at, magic[0]);
  putU32(bytes, at + 4, magic[1]);
}

/** The greeting of a newstyle server. @param flags `NBD_HANDSHAKE` bits */
export function encodeGreeting(flags: number): Buffer {
  const bytes = Buffer.alloc(GREETING_BYTES);
  putMagic(bytes, 0, NBD_MAGIC.INIT);
  putMagic(bytes, 8, NBD_MAGIC.OPTION);
  putU16(bytes, 16, flags);
  return bytes;
}

/** Reads a greeting: its flags, "oldstyle" for a server from before 2012, or `undefined` for what is no NBD server. */
export function decodeGreeting(bytes: Uint8Array): number | "oldstyle" | undefined {
  if (bytes.length < 16 || !isMagic(bytes, 0, NBD_MAGIC.INIT)) return undefined;
  if (isMagic(bytes, 8, NBD_MAGIC.OLDSTYLE)) return "oldstyle";
  if (bytes.length < GREETING_BYTES || !isMagic(bytes, 8, NBD_MAGIC.OPTION)) return undefined;
  return getU16(bytes, 16);
}

/** A whole option. */
export function encodeOption(option: number, payload: Uint8Array = new Uint8Array(0)): Buffer {
  const bytes = Buffer.alloc(OPTION_BYTES + payload.length);
  putMagic(bytes, 0, NBD_MAGIC.OPTION);
  putU32(bytes, 8, option);
  putU32(bytes, 12, payload.length);
  bytes.set(payload, OPTION_BYTES);
  return bytes;
}

/** What stands before the payload of an option, or of a reply to one. */
export interface OptionHeader {
  readonly option: number;
  /** Bytes of payload that follow: not bounded here. */
  readonly length: number;
}

/** Reads the head of an option. */
export function decodeOption(bytes: Uint8Array): OptionHeader | undefined {
  if (bytes.length < OPTION_BYTES || !isMagic(bytes, 0, NBD_MAGIC.OPTION)) return undefined;
  return { option: getU32(bytes, 8), length: getU32(bytes, 12) };
}

/** The head of a reply to an option, and what kind of reply it is. */
export interface OptionReplyHeader extends OptionHeader {
  /** One of `NBD_OPTION_REPLY`, or any other. */
  readonly type: number;
}

/** A whole reply to an option. */
export function encodeOptionReply(
  option: number,
  type: number,
  payload: Uint8Array = new Uint8Array(0),
): Buffer {
  const bytes = Buffer.alloc(OPTION_REPLY_BYTES + payload.length);
  putMagic(bytes, 0, NBD_MAGIC.OPTION_REPLY);
  putU32(bytes, 8, option);
  putU32(bytes, 12, type);
  putU32(bytes, 16, payload.length);
  bytes.set(payload, OPTION_REPLY_BYTES);
  return bytes;
}

/** Reads the head of a reply to an option. */
export function decodeOptionReply(bytes: Uint8Array): OptionReplyHeader | undefined {
  if (bytes.length < OPTION_REPLY_BYTES || !isMagic(bytes, 0, NBD_MAGIC.OPTION_REPLY))
    return undefined;
  return { option: getU32(bytes, 8), type: getU32(bytes, 12), length: getU32(bytes, 16) };
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A string of the protocol ("Conventions"): UTF-8 without NUL, of at most 4096 bytes; `undefined` for what is none. */
export function decodeString(bytes: Uint8Array): string | undefined {
  if (bytes.length > NBD_STRING_MAX || bytes.includes(0)) return undefined;
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Reads a string behind its length of four bytes. */
function lengthAndString(bytes: Uint8Array, at: number): { text: string; end: number } | undefined {
  if (bytes.length < at + 4) return undefined;
  const end = at + 4 + getU32(bytes, at);
  if (end > bytes.length) return undefined;
  const text = decodeString(bytes.subarray(at + 4, end));
  return text === undefined ? undefined : { text, end };
}

function encodeStrings(texts: readonly string[]): Buffer[] {
  return texts.flatMap((text) => {
    const bytes = Buffer.from(text, "utf8");
    const length = Buffer.alloc(4);
    putU32(length, 0, bytes.length);
    return [length, bytes];
  });
}

/** What INFO and GO ask for. */
export interface InfoRequest {
  readonly name: string;
  /** `NBD_INFO` values that the client would like. */
  readonly wanted: readonly number[];
}

/** Payload of INFO and GO. */
export function encodeInfoRequest(request: InfoRequest): Buffer {
  const tail = Buffer.alloc(2 + request.wanted.length * 2);
  putU16(tail, 0, request.wanted.length);
  for (const [index, info] of request.wanted.entries()) putU16(tail, 2 + index * 2, info);
  return Buffer.concat([...encodeStrings([request.name]), tail]);
}

/** Reads the payload of INFO and GO. */
export function decodeInfoRequest(payload: Uint8Array): InfoRequest | undefined {
  const name = lengthAndString(payload, 0);
  if (name === undefined || payload.length < name.end + 2) return undefined;
  const count = getU16(payload, name.end);
  if (payload.length !== name.end + 2 + count * 2) return undefined;
  const wanted = Array.from({ length: count }, (_, index) =>
    getU16(payload, name.end + 2 + index * 2),
  );
  return { name: name.text, wanted };
}

/** What LIST_META_CONTEXT and SET_META_CONTEXT ask for. */
export interface ContextRequest {
  readonly name: string;
  /** Contexts, or with a colon at their end whole namespaces; none in a LIST asks for all. */
  readonly queries: readonly string[];
}

/** Payload of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function encodeContextRequest(request: ContextRequest): Buffer {
  const count = Buffer.alloc(4);
  putU32(count, 0, request.queries.length);
  return Buffer.concat([
    ...encodeStrings([request.name]),
    count,
    ...encodeStrings(request.queries),
  ]);
}

/** Reads the payload of LIST_META_CONTEXT and SET_META_CONTEXT. Each query has at least four bytes, so that there are never more than fit. */
export function decodeContextRequest(payload: Uint8Array): ContextRequest | undefined {
  const name = lengthAndString(payload, 0);
  if (name === undefined || payload.length < name.end + 4) return undefined;
  const count = getU32(payload, name.end);
  const queries: string[] = [];
  let at = name.end + 4;
  while (queries.length < count) {
    const query = lengthAndString(payload, at);
    if (query === undefined) return undefined;
    queries.push(query.text);
    at = query.end;
  }
  return at === payload.length ? { name: name.text, queries } : undefined;
}

/** Payload of a META_CONTEXT reply. */
export function encodeContextReply(id: number, name: string): Buffer {
  const bytes = Buffer.alloc(4);
  putU32(bytes, 0, id);
  return Buffer.concat([bytes, Buffer.from(name, "utf8")]);
}

/** Reads a META_CONTEXT reply. */
export function decodeContextReply(payload: Uint8Array): { id: number; name: string } | undefined {
  const name = payload.length < 4 ? undefined : decodeString(payload.subarray(4));
  return name === undefined ? undefined : { id: getU32(payload, 0), name };
}

/** Payload of a SERVER reply to LIST: the name, and what people may read of it. */
export function encodeListReply(name: string, description = ""): Buffer {
  return Buffer.concat([...encodeStrings([name]), Buffer.from(description, "utf8")]);
}

/** What a server says of an export. */
export type ExportInfo =
  | { readonly kind: "export"; readonly size: number; readonly flags: number }
  | { readonly kind: "name" | "description"; readonly text: string }
  | {
      readonly kind: "sizes";
      readonly minimum: number;
      readonly preferred: number;
      readonly maximum: number;
    };

/** Payload of an INFO reply. */
export function encodeInfo(info: ExportInfo): Buffer {
  if (info.kind === "export") {
    const bytes = Buffer.alloc(12);
    putU16(bytes, 0, NBD_INFO.EXPORT);
    putU64(bytes, 2, info.size);
    putU16(bytes, 10, info.flags);
    return bytes;
  }
  if (info.kind === "sizes") {
    const bytes = Buffer.alloc(14);
    putU16(bytes, 0, NBD_INFO.BLOCK_SIZE);
    putU32(bytes, 2, info.minimum);
    putU32(bytes, 6, info.preferred);
    putU32(bytes, 10, info.maximum);
    return bytes;
  }
  const head = Buffer.alloc(2);
  putU16(head, 0, info.kind === "name" ? NBD_INFO.NAME : NBD_INFO.DESCRIPTION);
  return Buffer.concat([head, Buffer.from(info.text, "utf8")]);
}

/** Reads an INFO reply: "unknown" for a type of information that we have no word for, `undefined` for one of another form than its type has. */
export function decodeInfo(payload: Uint8Array): ExportInfo | "unknown" | undefined {
  if (payload.length < 2) return undefined;
  const type = getU16(payload, 0);
  if (type === NBD_INFO.EXPORT) {
    if (payload.length !== 12) return undefined;
    return { kind: "export", size: getU64(payload, 2), flags: getU16(payload, 10) };
  }
  if (type === NBD_INFO.BLOCK_SIZE) {
    if (payload.length !== 14) return undefined;
    const [minimum, preferred] = [getU32(payload, 2), getU32(payload, 6)];
    return { kind: "sizes", minimum, preferred, maximum: getU32(payload, 10) };
  }
  if (type !== NBD_INFO.NAME && type !== NBD_INFO.DESCRIPTION) return "unknown";
  const text = decodeString(payload.subarray(2));
  if (text === undefined) return undefined;
  return { kind: type === NBD_INFO.NAME ? "name" : "description", text };
}
