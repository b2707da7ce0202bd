/**
 * handshake: from the greeting of a server to an export that takes requests.
 *
 * The best that both sides speak is agreed on: extended headers, else structured replies, else simple ones; contexts for holes and poison; GO, and
 * EXPORT_NAME for servers from before it. A server is believed within bounds: replies of at most 64 KiB, a thousand for an option.
 */
import { MAX_OFFSET, StorageError, type ErrorCode } from "../../base/index.ts";
import type { ByteStream } from "./byte-stream.ts";
import {
  decodeContextReply,
  decodeGreeting,
  decodeInfo,
  decodeOptionReply,
  decodeString,
  encodeContextRequest,
  encodeInfoRequest,
  encodeOption,
  GREETING_BYTES,
  OPTION_REPLY_BYTES,
} from "./haggling.ts";
import { protocolError, type ReplyForm } from "./pending-reply.ts";
import { ALLOCATION_CONTEXT, DEVICE_CONTEXT, POISON_CONTEXT } from "./poison-context.ts";
import {
  NBD_DEFAULT_SIZES,
  NBD_EXPORT,
  NBD_HANDSHAKE,
  NBD_INFO,
  NBD_OPTION,
  NBD_OPTION_REPLY,
} from "./protocol.ts";
import { getU16, getU64, putU32 } from "./words.ts";

const REPLY_MAX = 64 * 1024;
const REPLIES_MAX = 1000;

/** What was agreed on. */
export interface NbdExport {
  readonly form: ReplyForm;
  /** Bytes. */
  readonly size: number;
  /** `NBD_EXPORT` bits. */
  readonly flags: number;
  /** Smallest unit of requests, in bytes. */
  readonly minimum: number;
  /** Unit that the server likes best, in bytes. */
  readonly preferred: number;
  /** Longest payload, in bytes. */
  readonly maximum: number;
  /** Ids of the contexts that the server takes, by name. */
  readonly contexts: ReadonlyMap<string, number>;
}

/** What a handshake is about. */
export interface HandshakeOptions {
  readonly exportName: string;
  /** Makes the stream an encrypted one; present where TLS is wanted. */
  readonly secure: ((stream: ByteStream) => Promise<ByteStream>) | undefined;
}

interface OptionReply {
  readonly type: number;
  readonly payload: Buffer;
}

/**
 * Runs the handshake.
 *
 * @returns the export, and the stream that carries it
 * @throws {StorageError} ENOENT where there is no such export; EACCES where policy or TLS stand against it; EPROTO for what is no server;
 *   ECONNRESET where it hangs up
 */
export async function handshake(
  stream: ByteStream,
  options: HandshakeOptions,
): Promise<{ readonly stream: ByteStream; readonly found: NbdExport }> {
  const flags = await greet(stream);
  const isFixed = (flags & NBD_HANDSHAKE.FIXED_NEWSTYLE) !== 0;
  const hasZeroes = (flags & NBD_HANDSHAKE.NO_ZEROES) === 0;
  const answer = Buffer.alloc(4);
  putU32(answer, 0, flags & (NBD_HANDSHAKE.FIXED_NEWSTYLE | NBD_HANDSHAKE.NO_ZEROES));
  stream.write(answer);
  let current = stream;
  if (options.secure !== undefined) {
    if (!isFixed) throw refused("EACCES", "TLS is wanted, and the server is too old for it");
    await startTls(stream);
    current = await options.secure(stream);
  }
  const haggling = new Haggling(current, options.exportName);
  const found = isFixed ? await haggling.run() : undefined;
  return { stream: current, found: found ?? (await haggling.exportName(hasZeroes)) };
}

function refused(code: ErrorCode, message: string): StorageError {
  return new StorageError(code, message, { syscall: "nbd" });
}

async function greet(stream: ByteStream): Promise<number> {
  const start = await stream.read(16);
  const early = decodeGreeting(start);
  if (early === "oldstyle")
    throw refused("EPROTO", "The server speaks only the oldstyle protocol of before 2012");
  const rest = isNbd(start) ? await stream.read(GREETING_BYTES - 16) : Buffer.alloc(0);
  const flags = decodeGreeting(Buffer.concat([start, rest]));
  if (typeof flags !== "number")
    throw refused("EPROTO", "What answers there is no NBD server: it does not begin with NBDMAGIC");
  return flags;
}

function isNbd(start: Buffer): boolean {
  return start.subarray(0, 8).equals(Buffer.from("NBDMAGIC"));
}

async function startTls(stream: ByteStream): Promise<void> {
  stream.write(encodeOption(NBD_OPTION.STARTTLS));
  const { type, payload } = await readReply(stream, NBD_OPTION.STARTTLS);
  if (type !== NBD_OPTION_REPLY.ACK)
    throw refused("EACCES", `The server has no TLS, which the URI wants${wordsOf(payload)}`);
}

async function readReply(stream: ByteStream, option: number): Promise<OptionReply> {
  const header = decodeOptionReply(await stream.read(OPTION_REPLY_BYTES));
  if (header === undefined) throw protocolError("no reply to an option where one is due");
  if (header.option !== option)
    throw protocolError(`a reply to option ${header.option} where one to ${option} is due`);
  if (header.length > REPLY_MAX)
    throw protocolError(`a reply of ${header.length} bytes to option ${option}`);
  return { type: header.type, payload: await stream.read(header.length) };
}

/** What a server says for people, behind a colon. */
function wordsOf(payload: Buffer): string {
  const text = decodeString(payload) ?? "";
  return text === "" ? "" : `: ${text.replace(/\p{Cc}+/gu, " ")}`;
}

function isError(type: number): boolean {
  return type >= NBD_OPTION_REPLY.ERROR_BIT;
}

class Haggling {
  readonly #stream: ByteStream;
  readonly #name: string;

  constructor(stream: ByteStream, name: string) {
    this.#stream = stream;
    this.#name = name;
  }

  /** @returns `undefined` where the server knows no GO: EXPORT_NAME is left */
  async run(): Promise<NbdExport | undefined> {
    const form = await this.#agreeOnForm();
    const contexts = form === "simple" ? new Map<string, number>() : await this.#contexts();
    return this.#go(form, contexts);
  }

  async #agreeOnForm(): Promise<ReplyForm> {
    if (await this.#agrees(NBD_OPTION.EXTENDED_HEADERS)) return "extended";
    return (await this.#agrees(NBD_OPTION.STRUCTURED_REPLY)) ? "structured" : "simple";
  }

  async #agrees(option: number): Promise<boolean> {
    this.#stream.write(encodeOption(option));
    const { type, payload } = await readReply(this.#stream, option);
    if (type === NBD_OPTION_REPLY.ACK) return true;
    if (type === NBD_OPTION_REPLY.ERR_TLS_REQD) throw this.#failureOf(type, payload);
    if (!isError(type)) throw protocolError(`a reply of type ${type} to option ${option}`);
    return false;
  }

  /** Sends an option, and hands every reply before the last to `each`. @returns the last */
  async #ask(
    option: number,
    payload: Buffer,
    each: (reply: OptionReply) => void,
  ): Promise<OptionReply> {
    this.#stream.write(encodeOption(option, payload));
    for (let count = 0; count < REPLIES_MAX; count += 1) {
      const reply = await readReply(this.#stream, option);
      if (reply.type === NBD_OPTION_REPLY.ACK || isError(reply.type)) return reply;
      each(reply);
    }
    throw protocolError(`more than ${REPLIES_MAX} replies to option ${option}`);
  }

  /** A server that refuses has no contexts for us; GO tells what else is wrong. */
  async #contexts(): Promise<Map<string, number>> {
    const queries = [ALLOCATION_CONTEXT, POISON_CONTEXT, DEVICE_CONTEXT];
    const contexts = new Map<string, number>();
    const option = NBD_OPTION.SET_META_CONTEXT;
    const payload = encodeContextRequest({ name: this.#name, queries });
    const last = await this.#ask(option, payload, (reply) => {
      const context = decodeContextReply(reply.payload);
      if (reply.type !== NBD_OPTION_REPLY.META_CONTEXT || context === undefined)
        throw protocolError(`a reply of type ${reply.type} to option ${option}`);
      if (queries.includes(context.name)) contexts.set(context.name, context.id);
    });
    return isError(last.type) ? new Map() : contexts;
  }

  async #go(
    form: ReplyForm,
    contexts: ReadonlyMap<string, number>,
  ): Promise<NbdExport | undefined> {
    const option = NBD_OPTION.GO;
    const payload = encodeInfoRequest({ name: this.#name, wanted: [NBD_INFO.BLOCK_SIZE] });
    let main: { readonly size: number; readonly flags: number } | undefined;
    let sizes: Pick<NbdExport, "minimum" | "preferred" | "maximum"> = NBD_DEFAULT_SIZES;
    const last = await this.#ask(option, payload, (reply) => {
      const info = decodeInfo(reply.payload);
      if (reply.type !== NBD_OPTION_REPLY.INFO || info === undefined)
        throw protocolError(`a reply of type ${reply.type} to option ${option}`);
      if (info === "unknown") return;
      if (info.kind === "export") main = checkedExport(info.size, info.flags);
      if (info.kind === "sizes") sizes = checkedSizes(info);
    });
    if (last.type === NBD_OPTION_REPLY.ERR_UNSUP && form !== "extended") return undefined;
    if (isError(last.type)) throw this.#failureOf(last.type, last.payload);
    if (main === undefined) throw protocolError("an export without a size");
    return { form, contexts, ...main, ...sizes };
  }

  /** The option of old servers: it has no error but hanging up. Structured replies are not in use with it: such servers know none. */
  async exportName(hasZeroes: boolean): Promise<NbdExport> {
    this.#stream.write(encodeOption(NBD_OPTION.EXPORT_NAME, Buffer.from(this.#name, "utf8")));
    let bytes: Buffer;
    try {
      bytes = await this.#stream.read(10 + (hasZeroes ? 124 : 0));
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== "ECONNRESET") throw error;
      const message = `The server has no export "${this.#name}", or does not want us: it hung up`;
      throw new StorageError("ENOENT", message, { syscall: "nbd", cause: error });
    }
    const main = checkedExport(getU64(bytes, 0), getU16(bytes, 8));
    return { form: "simple", contexts: new Map(), ...main, ...NBD_DEFAULT_SIZES };
  }

  #failureOf(type: number, payload: Buffer): StorageError {
    const words = wordsOf(payload);
    if (type === NBD_OPTION_REPLY.ERR_UNKNOWN)
      return refused("ENOENT", `The server has no export "${this.#name}"${words}`);
    if (type === NBD_OPTION_REPLY.ERR_TLS_REQD)
      return refused("EACCES", `The server wants TLS: use nbds:// or nbds+unix://${words}`);
    if (type === NBD_OPTION_REPLY.ERR_POLICY)
      return refused("EACCES", `The server does not allow it${words}`);
    if (type === NBD_OPTION_REPLY.ERR_SHUTDOWN)
      return refused("ECONNREFUSED", `The server is shutting down${words}`);
    const number = (type - NBD_OPTION_REPLY.ERROR_BIT).toString();
    return refused("EPROTO", `The server refuses the export with error ${number}${words}`);
  }
}

function checkedExport(size: number, flags: number): { size: number; flags: number } {
  if (size > MAX_OFFSET) throw protocolError("an export of more than 2^53 bytes");
  if ((flags & NBD_EXPORT.HAS_FLAGS) === 0) throw protocolError("an export without flags");
  return { size, flags };
}

function checkedSizes(
  sizes: Pick<NbdExport, "minimum" | "preferred" | "maximum">,
): Pick<NbdExport, "minimum" | "preferred" | "maximum"> {
  const { minimum, preferred, maximum } = sizes;
  const isPower = (value: number): boolean => value > 0 && Number.isInteger(Math.log2(value));
  if (
    !isPower(minimum) ||
    minimum > 65_536 ||
    !isPower(preferred) ||
    preferred < minimum ||
    maximum < minimum
  )
    throw protocolError(`block sizes ${minimum}, ${preferred} and ${maximum}`);
  return { minimum, preferred, maximum };
}
