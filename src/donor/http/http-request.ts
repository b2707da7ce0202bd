/**
 * HttpRequest: one GET of a range, with everything bounded: redirects, header and body, time.
 *
 * What can go wrong: nobody listens, the certificate is wrong, the server answers and then hangs or hangs up, it sends in circles, from https to
 * http, it answers more or less than it promised, or packs what must not be packed. Each of them is a `StorageError` with the URL and what was seen;
 * no answer is ever stretched into bytes.
 */
import type { ClientRequest, IncomingMessage } from "node:http";
import { StorageError, type ByteRange, type ErrorCode } from "../../base/index.ts";

/** How requests are made. */
export interface HttpOptions {
  /** Milliseconds that one request may take, with all of its body. @default 60,000 */
  readonly timeoutMs?: number;
  /** Value of the `Authorization` header for the host that was named, and no other. @default the environment's THERIAC_HTTP_AUTHORIZATION */
  readonly authorization?: string | undefined;
}

/** What is asked for. */
export interface HttpQuestion {
  readonly url: URL;
  /** The only host that gets the authorization. */
  readonly origin: string;
  /** Bytes that are wanted; at least one. */
  readonly range: ByteRange;
  /** Conditions under which the range is wanted. @default none */
  readonly conditions?: Readonly<Record<string, string>>;
}

/** What came. */
export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Of a 206 at most the bytes that were asked for, whole; of anything else nothing. */
  readonly body: Uint8Array;
  /** Where it came from, after redirects. */
  readonly url: URL;
}

const MOST_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** A URL for people: without what is secret in it. */
export function urlName(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** A failure of a server. */
export function httpError(
  code: ErrorCode,
  url: URL,
  told: { what: string; cause?: unknown },
): StorageError {
  const { what, cause } = told;
  const path = urlName(url);
  const more = cause === undefined ? {} : { cause };
  return new StorageError(code, `Cannot read ${path}: ${what}`, { path, syscall: "GET", ...more });
}

/**
 * Asks for a range, following redirects.
 *
 * @throws {StorageError} ENXIO where nobody answers in time or the answer breaks off; EBADMSG where it is none of HTTP's
 */
export async function httpGet(
  question: HttpQuestion,
  options: HttpOptions = {},
): Promise<HttpAnswer> {
  let { url } = question;
  for (let hops = 0; ; hops += 1) {
    const answer = await getTwice({ ...question, url }, options);
    if (!REDIRECTS.has(answer.status)) return answer;
    url = redirected(answer);
    if (hops === MOST_REDIRECTS)
      throw httpError("ENXIO", question.url, { what: `it is redirected more than ${hops} times` });
  }
}

/** Where an answer sends us. Never from a protected host to one that is not, and to no other protocol. */
function redirected({ url, headers, status }: HttpAnswer): URL {
  const location = headers["location"] ?? "";
  const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
  if (location === "" || next === undefined)
    throw httpError("EBADMSG", url, { what: `it answers ${status} and says no place` });
  const isSafe =
    next.protocol === "https:" || (next.protocol === "http:" && url.protocol === "http:");
  if (!isSafe || next.username !== "" || next.password !== "")
    throw httpError("ECANCELED", url, { what: `it redirects to ${next.protocol}//${next.host}` });
  return next;
}

/** A connection that was kept may be closed by the server just when it is used again: then one more attempt is fair. */
async function getTwice(question: HttpQuestion, options: HttpOptions): Promise<HttpAnswer> {
  try {
    return await getOnce(question, options);
  } catch (error) {
    if (!(error instanceof BrokenOff)) throw error;
  }
  try {
    return await getOnce(question, options);
  } catch (error) {
    if (error instanceof BrokenOff) throw error.failure;
    throw error;
  }
}

/** A failure of the connection, which another attempt may not meet. */
class BrokenOff extends Error {
  readonly failure: StorageError;

  constructor(failure: StorageError) {
    super(failure.message, { cause: failure });
    this.failure = failure;
  }
}

async function getOnce(question: HttpQuestion, options: HttpOptions): Promise<HttpAnswer> {
  const { url } = question;
  const { timeoutMs = 60_000 } = options;
  const request = await send(question, options);
  let late = false;
  let isRead = false;
  const timer = setTimeout(() => {
    late = true;
    request.destroy();
  }, timeoutMs);
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once("response", resolve);
      request.once("error", reject);
    });
    const headers = headersOf(response);
    const status = response.statusCode ?? 0;
    const body = status === 206 ? await bodyOf(response, question) : new Uint8Array();
    isRead = status === 206;
    return { status, headers, body, url };
  } catch (error) {
    if (late) throw httpError("ENXIO", url, { what: `no whole answer in ${timeoutMs} ms` });
    if (error instanceof StorageError) throw error;
    throw connectionFailure(url, error);
  } finally {
    clearTimeout(timer);
    // of what is not wanted nothing is read; only where all was read the connection is kept for the next request
    if (!isRead) request.destroy();
  }
}

async function send(question: HttpQuestion, options: HttpOptions): Promise<ClientRequest> {
  const { url, origin, range, conditions = {} } = question;
  const { get, agent } = await clientOf(url.protocol);
  const authorization = options.authorization ?? process.env["THERIAC_HTTP_AUTHORIZATION"];
  const isNamed = url.origin === origin && authorization !== undefined && authorization !== "";
  const request = get(url, {
    agent,
    headers: {
      "user-agent": "theriac",
      // a packed body has other offsets than the file
      "accept-encoding": "identity",
      range: `bytes=${range.offset}-${range.offset + range.length - 1}`,
      ...conditions,
      ...(isNamed ? { authorization } : {}),
    },
  });
  // an error behind the answer is met where the body is read
  request.on("error", () => {});
  return request;
}

interface Client {
  readonly get: typeof import("node:http").get;
  readonly agent: import("node:http").Agent;
}

const clients = new Map<string, Promise<Client>>();

/** What is loaded with the first URL only; connections are kept, and none keeps the process alive. */
function clientOf(protocol: string): Promise<Client> {
  const load = async (): Promise<Client> => {
    const { Agent, get } = await (protocol === "https:"
      ? import("node:https")
      : import("node:http"));
    return { get, agent: new Agent({ keepAlive: true, maxSockets: 4, scheduling: "lifo" }) };
  };
  const client = clients.get(protocol) ?? load();
  clients.set(protocol, client);
  return client;
}

function headersOf(response: IncomingMessage): HttpAnswer["headers"] {
  return Object.fromEntries(
    Object.entries(response.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(", ") : value,
    ]),
  );
}

/** The whole body of a 206. @throws {StorageError} where it is longer than what was asked for, or breaks off */
async function bodyOf(
  response: IncomingMessage,
  { url, range }: HttpQuestion,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(range.length);
  let length = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    if (length + chunk.length > bytes.length)
      throw httpError("EBADMSG", url, {
        what: `it sends more than the ${range.length} bytes asked for`,
      });
    bytes.set(chunk, length);
    length += chunk.length;
  }
  if (!response.complete) throw new Error("the answer breaks off");
  return bytes.subarray(0, length);
}

/** Nobody is there, or the certificate is wrong, or the connection broke. */
function connectionFailure(url: URL, error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  const code = (error as NodeJS.ErrnoException | null)?.code ?? "";
  const isSafe = code.startsWith("ERR_TLS") || /CERT|SSL|SELF_SIGNED|UNABLE_TO/.test(code);
  const what = isSafe
    ? `its certificate or protection is not accepted (${code}: ${message})`
    : `the connection failed (${code === "" ? message : code})`;
  const failure = httpError("ENXIO", url, { what, cause: error });
  return code === "ECONNRESET" ||
    code === "EPIPE" ||
    message === "the answer breaks off" ||
    message === "aborted"
    ? new BrokenOff(failure)
    : failure;
}
