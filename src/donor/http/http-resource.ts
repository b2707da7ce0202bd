/**
 * HttpResource: a thing on a web server of which ranges can be read, and of which it is known that it is the same all along.
 *
 * Opening asks for one byte, which tells the size and what names the version (`ETag`, `Last-Modified`). Every later request says which version
 * it wants (`If-Match`, else `If-Unmodified-Since`), and every answer is compared with the first one. So bytes of two versions never mix, and what was
 * compared when a donor was graded is what is taken. A server that names no version, or serves no ranges, is refused: with it nobody could tell.
 *
 * Read are whole blocks, which are kept for a while: evidence around a hole, and the hole, are asked for together.
 */
import { roundDown, roundUp, type BadRange, type ByteRange } from "../../base/index.ts";
import { COMPLETE, type ReadResult } from "../../device/index.ts";
import { BlockCache } from "./block-cache.ts";
import { httpError, httpGet, urlName, type HttpAnswer, type HttpOptions } from "./http-request.ts";

/** Bytes that are asked for at least. */
export const HTTP_BLOCK: number = 16_384;
/** Bytes of one request at most: what a slow line gives within the time of one. */
const MOST_ASKED = 1024 * 1024;

/** What names a version. */
interface Version {
  readonly size: number;
  readonly etag: string | undefined;
  readonly modified: string | undefined;
}

/** An open resource. */
export class HttpResource {
  /** For people. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Whole seconds, as nanoseconds since 1970; 0 where the server does not tell. */
  readonly modifiedNs: bigint;
  /** Bytes that were asked for and came: what the work cost. */
  fetchedBytes = 0;
  /** Requests that were made. */
  requests = 0;
  readonly #url: URL;
  readonly #origin: string;
  readonly #version: Version;
  readonly #options: HttpOptions;
  readonly #cache = new BlockCache(HTTP_BLOCK);

  constructor(
    at: { readonly url: URL; readonly origin: string },
    version: Version,
    options: HttpOptions,
  ) {
    this.#url = at.url;
    this.#origin = at.origin;
    this.#version = version;
    this.#options = options;
    this.name = urlName(at.url);
    this.size = version.size;
    const modified = Date.parse(version.modified ?? "");
    this.modifiedNs = Number.isNaN(modified) ? 0n : BigInt(modified) * 1_000_000n;
  }

  /**
   * Fills `into` from `offset`; what lies behind the end is missing, "unread".
   *
   * @throws {StorageError} ESTALE where it is another version now; ENXIO where the server does not answer; EBADMSG where it answers nonsense
   */
  async read(into: Uint8Array, offset: number): Promise<ReadResult> {
    const length = Math.max(0, Math.min(into.length, this.size - offset));
    await this.#fill(into.subarray(0, length), offset);
    if (length === into.length) return COMPLETE;
    const behind: BadRange = {
      offset: offset + length,
      length: into.length - length,
      state: "unread",
    };
    return { missing: [behind] };
  }

  async #fill(into: Uint8Array, offset: number): Promise<void> {
    const end = offset + into.length;
    let at = offset;
    while (at < end) {
      const kept = this.#cache.get(at);
      if (kept === undefined) {
        const bytes = await this.#fetch(this.#wanted(at, end));
        const start = roundDown(at, HTTP_BLOCK);
        const part = bytes.subarray(at - start, Math.min(bytes.length, end - start));
        into.set(part, at - offset);
        at += part.length;
      } else {
        const part = kept.subarray(0, end - at);
        into.set(part, at - offset);
        at += part.length;
      }
    }
  }

  /** Whole blocks from the one that holds a byte, up to the first that is kept already. */
  #wanted(at: number, end: number): ByteRange {
    const offset = roundDown(at, HTTP_BLOCK);
    let stop = offset + HTTP_BLOCK;
    const last = Math.min(roundUp(end, HTTP_BLOCK), offset + MOST_ASKED);
    while (stop < last && this.#cache.get(stop) === undefined) stop += HTTP_BLOCK;
    return { offset, length: Math.min(stop, this.size) - offset };
  }

  async #fetch(range: ByteRange): Promise<Uint8Array> {
    const question = {
      url: this.#url,
      origin: this.#origin,
      range,
      conditions: conditionsOf(this.#version),
    };
    this.requests += 1;
    const answer = await httpGet(question, this.#options);
    this.fetchedBytes += answer.body.length;
    const { status, url } = answer;
    if (status === 412) throw changed(url, "it says so itself");
    refuseStatus(answer);
    const version = versionOf(answer, range);
    const difference = differenceOf(this.#version, version);
    if (difference !== undefined) throw changed(url, difference);
    if (answer.body.length !== range.length) {
      const what = `it sends ${answer.body.length} of ${range.length} bytes`;
      throw httpError("EBADMSG", url, { what });
    }
    this.#cache.put(range.offset, answer.body);
    return answer.body;
  }
}

/**
 * Opens a resource.
 *
 * @param name an http or https URL, without user and password
 * @throws {StorageError} ENOENT, EACCES; EOPNOTSUPP where ranges of one version cannot be had; ENXIO where nobody answers
 */
export async function openHttpResource(
  name: string,
  options: HttpOptions = {},
): Promise<HttpResource> {
  const asked = parseUrl(name);
  const range = { offset: 0, length: 1 };
  const answer = await httpGet({ url: asked, origin: asked.origin, range }, options);
  const { url } = answer;
  if (answer.status === 416) return emptyResource(answer, asked.origin, options);
  refuseStatus(answer);
  const version = versionOf(answer, range);
  if (version.size === undefined)
    throw httpError("EOPNOTSUPP", url, { what: "it does not tell its size" });
  const { size, etag, modified } = version;
  if (etag === undefined && modified === undefined) {
    const what = "it names no version (no ETag, no Last-Modified), so a change could not be seen";
    throw httpError("EOPNOTSUPP", url, { what });
  }
  return new HttpResource({ url, origin: asked.origin }, { size, etag, modified }, options);
}

/** A URL that can be a donor. @throws {RangeError} where it is none, or holds a password: names of donors stand in plans and logs */
export function parseUrl(name: string): URL {
  const url = URL.canParse(name) ? new URL(name) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new RangeError(`Want an http or https URL: got "${name}"`);
  if (url.username !== "" || url.password !== "") {
    const place = urlName(url);
    throw new RangeError(
      `Want no user and password in a URL, since names of donors stand in plans: got one for ${place}; set THERIAC_HTTP_AUTHORIZATION instead`,
    );
  }
  return url;
}

/** A 416 to a wish for the first byte: there is none. */
function emptyResource(answer: HttpAnswer, origin: string, options: HttpOptions): HttpResource {
  const { url, headers } = answer;
  if (headers["content-range"]?.trim() !== "bytes */0")
    throw httpError("EOPNOTSUPP", url, { what: "it refuses ranges (416)" });
  const version = { size: 0, etag: headers["etag"], modified: headers["last-modified"] };
  return new HttpResource({ url, origin }, version, options);
}

function refuseStatus({ status, url, headers }: HttpAnswer): void {
  if (status === 206) {
    const packed = headers["content-encoding"];
    if (packed === undefined || packed === "identity") return;
    const what = `it sends "${packed}" although "identity" was asked for`;
    throw httpError("EOPNOTSUPP", url, { what });
  }
  if (status === 404 || status === 410)
    throw httpError("ENOENT", url, { what: `it answers ${status}` });
  if (status === 401 || status === 403 || status === 407) {
    const what = `it answers ${status}: not allowed (THERIAC_HTTP_AUTHORIZATION is sent where it is set)`;
    throw httpError("EACCES", url, { what });
  }
  if (status >= 200 && status < 300) {
    const what = `it serves no ranges (${status} instead of 206): download it, and give the file`;
    throw httpError("EOPNOTSUPP", url, { what });
  }
  throw httpError("ENXIO", url, { what: `it answers ${status}` });
}

/** What an answer says of the version, and that it is the range that was asked for. */
function versionOf(
  { headers, url }: HttpAnswer,
  range: ByteRange,
): Omit<Version, "size"> & { readonly size: number | undefined } {
  const text = headers["content-range"] ?? "";
  const [, first, last, total = "*"] =
    /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/i.exec(text.trim()) ?? [];
  const end = range.offset + range.length - 1;
  if (Number(first) !== range.offset || Number(last) !== end) {
    const what = `want bytes ${range.offset}-${end}: got Content-Range "${text.slice(0, 80)}"`;
    throw httpError("EBADMSG", url, { what });
  }
  const size = total === "*" ? undefined : Number(total);
  if (size !== undefined && (size <= end || !Number.isSafeInteger(size)))
    throw httpError("EBADMSG", url, {
      what: `it says to have ${total} bytes, and sends byte ${end}`,
    });
  return { size, etag: headers["etag"], modified: headers["last-modified"] };
}

/** Conditions that a server checks itself. Only a strong tag may be asked for; what it ignores is compared afterwards. */
function conditionsOf({ etag, modified }: Version): Readonly<Record<string, string>> {
  if (etag !== undefined && !etag.startsWith("W/")) return { "if-match": etag };
  return modified === undefined ? {} : { "if-unmodified-since": modified };
}

function differenceOf(
  was: Version,
  now: Omit<Version, "size"> & { size: number | undefined },
): string | undefined {
  if (now.size !== undefined && now.size !== was.size)
    return `${now.size} bytes, and ${was.size} before`;
  if (now.etag !== was.etag) return `ETag ${now.etag ?? "none"}, and ${was.etag ?? "none"} before`;
  if (now.modified !== was.modified)
    return `modified ${now.modified ?? "nobody knows when"}, and ${was.modified ?? "nobody knows when"} before`;
  return undefined;
}

function changed(url: URL, difference: string): Error {
  return httpError("ESTALE", url, { what: `it changed while it was read: ${difference}` });
}
