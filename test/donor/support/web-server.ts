/** A web server on loopback that serves bytes with ranges, and that can be told to misbehave. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a server answers for a path. */
export interface Served {
  content: Uint8Array;
  etag?: string | undefined;
  /** As HTTP writes dates. */
  modified?: string | undefined;
}

/** Answers in the place of the server; returns whether it did. */
export type Misbehaviour = (
  request: IncomingMessage,
  response: ServerResponse,
  served: Served | undefined,
) => boolean;

/** A running server. */
export interface WebServer {
  /** Without a slash at the end. */
  readonly url: string;
  readonly files: Map<string, Served>;
  /** What was asked, in order: "GET /x bytes=0-0". */
  readonly asked: string[];
  readonly requests: IncomingMessage[];
  /** Bytes of bodies that were sent by the rules. */
  sentBytes: number;
  misbehave: Misbehaviour | undefined;
  /** Ends it, with every connection. */
  end(): Promise<void>;
}

/** What a served file says by itself. */
export const MODIFIED_DATE = "Tue, 14 Nov 2023 22:13:20 GMT";

/** Starts a server on a free port. */
export async function startServer(files: Iterable<readonly [string, Served]>): Promise<WebServer> {
  const server = createServer((request, response) => answer(web, request, response));
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const web: WebServer = {
    url: `http://127.0.0.1:${port}`,
    files: new Map(files),
    asked: [],
    requests: [],
    sentBytes: 0,
    misbehave: undefined,
    end: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
  return web;
}

function answer(web: WebServer, request: IncomingMessage, response: ServerResponse): void {
  const path = decodeURI(request.url ?? "/");
  const { range = "" } = request.headers;
  web.asked.push(`${request.method} ${request.url} ${range}`);
  web.requests.push(request);
  const served = web.files.get(path);
  if (web.misbehave?.(request, response, served) === true) return;
  if (served === undefined) {
    response.writeHead(404).end("no such thing");
    return;
  }
  const headers = headersOf(served);
  const wanted = request.headers["if-match"];
  if (wanted !== undefined && wanted !== served.etag) {
    response.writeHead(412, headers).end();
    return;
  }
  const match = /^bytes=(\d+)-(\d+)$/.exec(range);
  const [first, last] = [
    Number(match?.[1]),
    Math.min(Number(match?.[2]), served.content.length - 1),
  ];
  if (match === null) response.writeHead(200, headers).end(served.content);
  else if (first >= served.content.length)
    response
      .writeHead(416, { ...headers, "content-range": `bytes */${served.content.length}` })
      .end();
  else {
    const body = served.content.subarray(first, last + 1);
    web.sentBytes += body.length;
    const place = `bytes ${first}-${last}/${served.content.length}`;
    response
      .writeHead(206, { ...headers, "content-range": place, "content-length": body.length })
      .end(body);
  }
}

function headersOf(served: Served): Record<string, string> {
  return {
    ...(served.etag === undefined ? {} : { etag: served.etag }),
    ...(served.modified === undefined ? {} : { "last-modified": served.modified }),
  };
}

/** Sends a 206 with everything right, but for what is given. */
export function reply(
  response: ServerResponse,
  served: Served,
  how: {
    first: number;
    last: number;
    headers?: Record<string, string>;
    body?: Uint8Array;
    status?: number;
  },
): void {
  const place = `bytes ${how.first}-${how.last}/${served.content.length}`;
  const body = how.body ?? served.content.subarray(how.first, how.last + 1);
  response
    .writeHead(how.status ?? 206, { ...headersOf(served), "content-range": place, ...how.headers })
    .end(body);
}
