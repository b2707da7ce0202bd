/**
 * handshake: the haggling of the fixed newstyle, without I/O: bytes of a client go in, bytes for it come out, until it has chosen an export.
 *
 * Takes arbitrary bytes in arbitrary pieces. An option is kept only up to `OPTION_MAX` bytes; a longer one is passed over, and one that
 * nobody could mean well ends the connection (CVE-2017-15119). Whatever else is wrong is told, and the haggling goes on.
 */
import {
  decodeContextRequest,
  decodeInfoRequest,
  decodeOption,
  decodeString,
  encodeContextReply,
  encodeGreeting,
  encodeInfo,
  encodeListReply,
  encodeOptionReply,
  getU32,
  NBD_HANDSHAKE,
  NBD_INFO,
  NBD_OPTION,
  NBD_OPTION_REPLY,
  OPTION_BYTES,
  putU16,
  putU64,
  type ExportInfo,
  type InfoRequest,
} from "../device/index.ts";
import { listedContexts, selectedContexts, type Context } from "./contexts.ts";
import { exportFlags, PAYLOAD_MAX, type ExportList, type NbdExport } from "./export.ts";

/** Bytes of an option that are kept: longer than any that a client of good will sends. */
const OPTION_MAX = 64 * 1024;
/** Bytes of client flags. */
const FLAGS_BYTES = 4;
const KNOWN_FLAGS = NBD_HANDSHAKE.FIXED_NEWSTYLE | NBD_HANDSHAKE.NO_ZEROES;

/** What was agreed on. */
export interface Agreement {
  readonly face: NbdExport;
  /** How replies look. */
  readonly form: "simple" | "structured" | "extended";
  /** Contexts of BLOCK_STATUS. */
  readonly contexts: readonly Context[];
}

/** How the haggling goes on. */
export type Outcome =
  | { readonly kind: "go"; readonly agreement: Agreement }
  /** The client may begin with TLS as soon as it has the reply; nothing of what came before counts. */
  | { readonly kind: "starttls" }
  /** The connection ends, once what is out has been sent. */
  | { readonly kind: "close" };

/** What a handshake works with. */
export interface HandshakeOptions {
  readonly exports: ExportList;
  /** Takes bytes for the client. */
  readonly send: (bytes: Uint8Array) => void;
  /** Whether TLS is to be had, and so is demanded of everybody. @default "none" */
  readonly tls?: "none" | "wanted" | "done";
  /** Whether the server ends: options are refused then. @default it does not */
  readonly isEnding?: () => boolean;
}

/** One client's haggling. After `take` gave an outcome, nothing may be given to it any more. */
export class Handshake {
  readonly #options: HandshakeOptions;
  /** What came of the flags, or of an option's head and payload, and is not whole yet. */
  #kept: Buffer = Buffer.alloc(FLAGS_BYTES);
  #have = 0;
  #step: "flags" | "head" | "payload" = "flags";
  #option = 0;
  #length = 0;
  /** Bytes of a payload that are passed over. */
  #skip = 0;
  #zeroes = true;
  #form: Agreement["form"] = "simple";
  #selected: { readonly name: NbdExport; readonly contexts: readonly Context[] } | undefined;

  constructor(options: HandshakeOptions) {
    this.#options = options;
  }

  /** Sends the greeting; once, before all else, and not again after TLS. */
  greet(): void {
    this.#options.send(encodeGreeting(KNOWN_FLAGS));
  }

  /** Goes on after TLS began, where the client's flags are known, and nothing else is. */
  static afterTls(options: HandshakeOptions, before: Handshake): Handshake {
    const handshake = new Handshake({ ...options, tls: "done" });
    handshake.#zeroes = before.#zeroes;
    handshake.#want("head", OPTION_BYTES);
    return handshake;
  }

  /**
   * Takes bytes, from `from` on.
   *
   * @returns how many were taken: all, or those up to the outcome
   */
  take(bytes: Uint8Array, from: number): { readonly end: number; readonly outcome?: Outcome } {
    let at = from;
    for (;;) {
      const skipped = Math.min(this.#skip, bytes.length - at);
      this.#skip -= skipped;
      at += skipped;
      if (this.#skip > 0) return { end: at };
      const count = Math.min(this.#kept.length - this.#have, bytes.length - at);
      this.#kept.set(bytes.subarray(at, at + count), this.#have);
      this.#have += count;
      at += count;
      if (this.#have < this.#kept.length) return { end: at };
      const outcome = this.#whole();
      if (outcome !== undefined) return { end: at, outcome };
    }
  }

  #want(step: "flags" | "head" | "payload", length: number): void {
    this.#step = step;
    this.#kept = Buffer.alloc(length);
    this.#have = 0;
  }

  /** Takes what is whole now. */
  #whole(): Outcome | undefined {
    const bytes = this.#kept;
    if (this.#step === "flags") return this.#flags(getU32(bytes, 0));
    if (this.#step === "head") return this.#head(bytes);
    this.#want("head", OPTION_BYTES);
    return this.#answer(bytes);
  }

  #flags(flags: number): Outcome | undefined {
    if ((flags & ~KNOWN_FLAGS) !== 0 || (flags & NBD_HANDSHAKE.FIXED_NEWSTYLE) === 0)
      return { kind: "close" };
    this.#zeroes = (flags & NBD_HANDSHAKE.NO_ZEROES) === 0;
    this.#want("head", OPTION_BYTES);
    return undefined;
  }

  #head(bytes: Uint8Array): Outcome | undefined {
    const head = decodeOption(bytes);
    if (head === undefined || head.length > PAYLOAD_MAX) return { kind: "close" };
    this.#option = head.option;
    this.#length = head.length;
    const isKept = head.length <= OPTION_MAX;
    this.#want("payload", isKept ? head.length : 0);
    this.#skip = isKept ? 0 : head.length;
    return undefined;
  }

  #answer(payload: Buffer): Outcome | undefined {
    const option = this.#option;
    if (option === NBD_OPTION.ABORT) {
      this.#reply(NBD_OPTION_REPLY.ACK);
      return { kind: "close" };
    }
    const isTls = option === NBD_OPTION.STARTTLS;
    if (this.#options.tls === "wanted" && !isTls) {
      if (option === NBD_OPTION.EXPORT_NAME) return { kind: "close" };
      return this.#refuse("ERR_TLS_REQD", "This server wants TLS first");
    }
    if (this.#options.isEnding?.() === true) {
      if (option === NBD_OPTION.EXPORT_NAME) return { kind: "close" };
      return this.#refuse("ERR_SHUTDOWN", "This server is about to end");
    }
    if (this.#length > OPTION_MAX) {
      if (option === NBD_OPTION.EXPORT_NAME) return { kind: "close" };
      return this.#refuse("ERR_TOO_BIG", `Want an option of at most ${OPTION_MAX} bytes`);
    }
    return this.#known(option, payload);
  }

  #known(option: number, payload: Buffer): Outcome | undefined {
    switch (option) {
      case NBD_OPTION.EXPORT_NAME:
        return this.#exportName(payload);
      case NBD_OPTION.LIST:
        return this.#list(payload);
      case NBD_OPTION.STARTTLS:
        return this.#startTls(payload);
      case NBD_OPTION.INFO:
      case NBD_OPTION.GO:
        return this.#info(payload, option === NBD_OPTION.GO);
      case NBD_OPTION.STRUCTURED_REPLY:
        return this.#structured(payload);
      case NBD_OPTION.EXTENDED_HEADERS:
        return this.#extended(payload);
      case NBD_OPTION.LIST_META_CONTEXT:
      case NBD_OPTION.SET_META_CONTEXT:
        return this.#contexts(payload, option === NBD_OPTION.SET_META_CONTEXT);
      default:
        return this.#refuse("ERR_UNSUP", `This server knows no option ${option}`);
    }
  }

  /** The old way in, which knows no refusal but the end. */
  #exportName(payload: Buffer): Outcome {
    const name = decodeString(payload);
    const face = name === undefined ? undefined : this.#options.exports.find(name);
    if (face === undefined || this.#form === "extended") return { kind: "close" };
    const reply = Buffer.alloc(this.#zeroes ? 134 : 10);
    putU64(reply, 0, face.size);
    putU16(reply, 8, exportFlags(face, this.#form !== "simple"));
    this.#options.send(reply);
    return this.#go(face);
  }

  #go(face: NbdExport): Outcome {
    const contexts = this.#selected?.name === face ? this.#selected.contexts : [];
    return { kind: "go", agreement: { face, form: this.#form, contexts } };
  }

  #list(payload: Buffer): Outcome | undefined {
    if (payload.length > 0) return this.#refuse("ERR_INVALID", "LIST has no payload");
    for (const { name, description } of this.#options.exports.all)
      this.#reply(NBD_OPTION_REPLY.SERVER, encodeListReply(name, description));
    return this.#reply(NBD_OPTION_REPLY.ACK);
  }

  #startTls(payload: Buffer): Outcome | undefined {
    const { tls = "none" } = this.#options;
    if (payload.length > 0) return this.#refuse("ERR_INVALID", "STARTTLS has no payload");
    if (tls === "none") return this.#refuse("ERR_UNSUP", "This server has no TLS");
    if (tls === "done") return this.#refuse("ERR_INVALID", "TLS is on already");
    this.#reply(NBD_OPTION_REPLY.ACK);
    return { kind: "starttls" };
  }

  #info(payload: Buffer, isGo: boolean): Outcome | undefined {
    const request = decodeInfoRequest(payload);
    if (request === undefined)
      return this.#refuse("ERR_INVALID", "Want a name and a list of informations, and no more");
    const face = this.#options.exports.find(request.name);
    if (face === undefined) return this.#refuse("ERR_UNKNOWN", "There is no such export");
    this.#describe(face, request);
    this.#reply(NBD_OPTION_REPLY.ACK);
    return isGo ? this.#go(face) : undefined;
  }

  #describe(face: NbdExport, { wanted }: InfoRequest): void {
    const { size, name, description, sizes } = face;
    const flags = exportFlags(face, this.#form !== "simple");
    const send = (info: ExportInfo): void => {
      this.#reply(NBD_OPTION_REPLY.INFO, encodeInfo(info));
    };
    if (wanted.includes(NBD_INFO.NAME)) send({ kind: "name", text: name });
    if (wanted.includes(NBD_INFO.DESCRIPTION)) send({ kind: "description", text: description });
    if (wanted.includes(NBD_INFO.BLOCK_SIZE)) send({ kind: "sizes", ...sizes });
    send({ kind: "export", size, flags });
  }

  #structured(payload: Buffer): Outcome | undefined {
    if (this.#form === "extended")
      return this.#refuse("ERR_EXT_HEADER_REQD", "Extended headers are agreed on");
    if (payload.length > 0) return this.#refuse("ERR_INVALID", "STRUCTURED_REPLY has no payload");
    if (this.#form === "structured")
      return this.#refuse("ERR_INVALID", "Structured replies are agreed on already");
    this.#form = "structured";
    return this.#reply(NBD_OPTION_REPLY.ACK);
  }

  #extended(payload: Buffer): Outcome | undefined {
    if (payload.length > 0) return this.#refuse("ERR_INVALID", "EXTENDED_HEADERS has no payload");
    if (this.#form === "extended")
      return this.#refuse("ERR_INVALID", "Extended headers are agreed on already");
    this.#form = "extended";
    return this.#reply(NBD_OPTION_REPLY.ACK);
  }

  #contexts(payload: Buffer, isSet: boolean): Outcome | undefined {
    // An earlier selection is gone, whatever becomes of this one.
    if (isSet) this.#selected = undefined;
    if (this.#form === "simple")
      return this.#refuse("ERR_INVALID", "Want structured replies before metadata contexts");
    const request = decodeContextRequest(payload);
    if (request === undefined)
      return this.#refuse("ERR_INVALID", "Want a name and a list of queries, and no more");
    const face = this.#options.exports.find(request.name);
    if (face === undefined) return this.#refuse("ERR_UNKNOWN", "There is no such export");
    const contexts = (isSet ? selectedContexts : listedContexts)(request.queries);
    if (isSet) this.#selected = { name: face, contexts };
    for (const { id, name } of contexts)
      this.#reply(NBD_OPTION_REPLY.META_CONTEXT, encodeContextReply(isSet ? id : 0, name));
    return this.#reply(NBD_OPTION_REPLY.ACK);
  }

  #reply(type: number, payload?: Uint8Array): undefined {
    this.#options.send(encodeOptionReply(this.#option, type, payload));
  }

  #refuse(type: keyof typeof NBD_OPTION_REPLY & `ERR_${string}`, text: string): undefined {
    return this.#reply(NBD_OPTION_REPLY[type], Buffer.from(text));
  }
}
