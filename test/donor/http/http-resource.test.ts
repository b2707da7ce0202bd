/** Resources on web servers: only what is wanted is fetched, and no answer that is not whole and of one version becomes bytes. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { createPrng, StorageError } from "../../../src/base/index.ts";
import { openHttpResource } from "../../../src/donor/index.ts";
import { hasProgram, removeTemporary, temporary } from "../../rescue/support/tree.ts";
import {
  MODIFIED_DATE,
  reply,
  startServer,
  type Misbehaviour,
  type WebServer,
} from "../support/web-server.ts";

afterAll(removeTemporary);

const CONTENT = createPrng(5).bytes(3_000_000);
let web: WebServer;

beforeEach(async () => {
  web = await startServer([
    ["/x.img", { content: CONTENT, etag: '"one"', modified: MODIFIED_DATE }],
    ["/empty", { content: new Uint8Array(), etag: '"e"', modified: MODIFIED_DATE }],
  ]);
});
afterEach(async () => await web.end());

async function read(
  range: { offset: number; length: number },
  path = "/x.img",
): Promise<Uint8Array> {
  const resource = await openHttpResource(`${web.url}${path}`, { timeoutMs: 2000 });
  const into = new Uint8Array(range.length);
  const { missing } = await resource.read(into, range.offset);
  expect(missing).toEqual([]);
  return into;
}

/** Opens well, then misbehaves. */
async function readAfter(misbehave: Misbehaviour, timeoutMs = 2000): Promise<unknown> {
  const resource = await openHttpResource(`${web.url}/x.img`, { timeoutMs });
  web.misbehave = misbehave;
  const into = new Uint8Array(5000).fill(7);
  return await resource.read(into, 100_000).then(
    () => "it was read",
    (error: unknown) => error,
  );
}

const RANGE = { first: 98_304, last: 114_687 };

describe("HttpResource", () => {
  test("read() gives the bytes, and fetches the blocks around them alone", async () => {
    const range = { offset: 1_000_001, length: 5000 };
    expect(await read(range)).toEqual(CONTENT.slice(1_000_001, 1_005_001));
    expect(web.sentBytes).toBe(1 + 16_384);
    expect(web.asked).toEqual(["GET /x.img bytes=0-0", "GET /x.img bytes=999424-1015807"]);
  });

  test("read() of what was read is not fetched again", async () => {
    const resource = await openHttpResource(`${web.url}/x.img`);
    await resource.read(new Uint8Array(100), 20_000);
    await resource.read(new Uint8Array(4000), 17_000);
    expect(resource.requests).toBe(1);
    await resource.read(new Uint8Array(100_000), 0);
    expect(resource.requests).toBe(3);
    expect(resource.fetchedBytes).toBe(7 * 16_384);
  });

  test("read() of all asks in pieces of at most 1 MiB", async () => {
    const all = await read({ offset: 0, length: CONTENT.length });
    expect(Buffer.compare(all, CONTENT)).toBe(0);
    expect(web.asked.length).toBe(4);
  });

  test("R1: what lies behind the end is missing", async () => {
    const resource = await openHttpResource(`${web.url}/x.img`);
    const { missing } = await resource.read(new Uint8Array(200), CONTENT.length - 100);
    expect(missing).toEqual([{ offset: CONTENT.length, length: 100, state: "unread" }]);
  });

  test("openHttpResource() tells size and time, of an empty thing too", async () => {
    const resource = await openHttpResource(`${web.url}/x.img`);
    expect(resource).toMatchObject({ size: 3_000_000, modifiedNs: 1_700_000_000_000_000_000n });
    expect((await openHttpResource(`${web.url}/empty`)).size).toBe(0);
  });

  test("asks for the version that was opened, and for bytes as they are", async () => {
    await read({ offset: 0, length: 10 });
    expect(web.requests[1]?.headers).toMatchObject({
      "if-match": '"one"',
      "accept-encoding": "identity",
    });
    web.files.set("/weak", { content: CONTENT, etag: 'W/"weak"', modified: MODIFIED_DATE });
    await read({ offset: 0, length: 10 }, "/weak");
    expect(web.requests[3]?.headers["if-match"]).toBeUndefined();
    expect(web.requests[3]?.headers["if-unmodified-since"]).toBe(MODIFIED_DATE);
  });
});

describe("R1: an answer that is wrong is a failure and no byte:", () => {
  test.each<[string, string, Misbehaviour]>([
    [
      "200 in the place of 206",
      "EOPNOTSUPP",
      (_, response) => !!response.writeHead(200).end(CONTENT),
    ],
    [
      "another range",
      "EBADMSG",
      (_, response, served) =>
        !!(served && (reply(response, served, { first: 0, last: 16_383 }), true)),
    ],
    [
      "no Content-Range",
      "EBADMSG",
      (_, response) =>
        !!response.writeHead(206, { etag: '"one"' }).end(CONTENT.subarray(0, 16_384)),
    ],
    [
      "another ETag",
      "ESTALE",
      (_, response, served) =>
        !!(served && (reply(response, served, { ...RANGE, headers: { etag: '"two"' } }), true)),
    ],
    [
      "another time",
      "ESTALE",
      (_, response, served) =>
        !!(
          served &&
          (reply(response, served, {
            ...RANGE,
            headers: { "last-modified": "Tue, 14 Nov 2023 22:13:21 GMT" },
          }),
          true)
        ),
    ],
    [
      "another size",
      "ESTALE",
      (_, response, served) =>
        !!(
          served &&
          (reply(response, served, {
            ...RANGE,
            headers: { "content-range": `bytes ${RANGE.first}-${RANGE.last}/3000001` },
          }),
          true)
        ),
    ],
    [
      "a packed body",
      "EOPNOTSUPP",
      (_, response, served) =>
        !!(
          served &&
          (reply(response, served, { ...RANGE, headers: { "content-encoding": "gzip" } }), true)
        ),
    ],
    [
      "a body that is too short",
      "EBADMSG",
      (_, response, served) =>
        !!(served && (reply(response, served, { ...RANGE, body: CONTENT.subarray(0, 100) }), true)),
    ],
    [
      "a body that is too long",
      "EBADMSG",
      (_, response, served) =>
        !!(
          served && (reply(response, served, { ...RANGE, body: CONTENT.subarray(0, 20_000) }), true)
        ),
    ],
    [
      "a body that breaks off",
      "ENXIO",
      (_, response, served) => {
        if (served === undefined) return false;
        const place = `bytes ${RANGE.first}-${RANGE.last}/${served.content.length}`;
        response.writeHead(206, {
          etag: '"one"',
          "last-modified": MODIFIED_DATE,
          "content-range": place,
          "content-length": 16_384,
        });
        response.write(CONTENT.subarray(0, 1000), () => response.destroy());
        return true;
      },
    ],
    ["404 now", "ENOENT", (_, response) => !!response.writeHead(404).end()],
    ["403 now", "EACCES", (_, response) => !!response.writeHead(403).end()],
    ["500", "ENXIO", (_, response) => !!response.writeHead(500).end("oh")],
    ["412", "ESTALE", (_, response) => !!response.writeHead(412).end()],
    ["hanging up", "ENXIO", (request) => !!request.socket.destroy()],
    [
      "a circle of redirects",
      "ENXIO",
      (_, response) => !!response.writeHead(302, { location: "/x.img" }).end(),
    ],
    ["a redirect to nowhere", "EBADMSG", (_, response) => !!response.writeHead(302).end()],
    [
      "a redirect to another protocol",
      "ECANCELED",
      (_, response) => !!response.writeHead(302, { location: "file:///etc/passwd" }).end(),
    ],
    [
      "what is not HTTP",
      "ENXIO",
      (request) => {
        request.socket.end("SSH-2.0-OpenSSH_9.2\r\n");
        return true;
      },
    ],
  ])("%s", async (_, code, misbehave) => {
    const error = await readAfter(misbehave);
    expect(error).toBeInstanceOf(StorageError);
    expect(error).toMatchObject({ code, path: `${web.url}/x.img` });
    expect((error as Error).message).toContain(`Cannot read ${web.url}/x.img: `);
  });

  test("a server that hangs before the answer, and within it", async () => {
    expect(await readAfter(() => true, 100)).toMatchObject({ code: "ENXIO" });
    web.misbehave = undefined;
    const error = await readAfter((_, response, served) => {
      const place = `bytes ${RANGE.first}-${RANGE.last}/${served?.content.length}`;
      response.writeHead(206, { etag: '"one"', "content-range": place });
      response.write(CONTENT.subarray(0, 1000));
      return true;
    }, 100);
    expect(error).toMatchObject({ code: "ENXIO" });
    expect((error as Error).message).toContain("100 ms");
  });

  test("a content that is replaced between two requests", async () => {
    const resource = await openHttpResource(`${web.url}/x.img`);
    web.files.set("/x.img", {
      content: CONTENT.toReversed(),
      etag: '"two"',
      modified: MODIFIED_DATE,
    });
    await expect(resource.read(new Uint8Array(10), 0)).rejects.toMatchObject({ code: "ESTALE" });
  });
});

describe("openHttpResource()", () => {
  test.each([["a server without versions", "EOPNOTSUPP", { content: CONTENT }]])(
    "refuses %s",
    async (_, code, served) => {
      web.files.set("/y", served);
      await expect(openHttpResource(`${web.url}/y`)).rejects.toMatchObject({ code });
    },
  );

  test("refuses a size that is not told", async () => {
    web.misbehave = (_, response) => {
      const headers = { "content-range": "bytes 0-0/*", etag: '"x"' };
      response.writeHead(206, headers).end("a");
      return true;
    };
    await expect(openHttpResource(`${web.url}/x.img`)).rejects.toMatchObject({
      code: "EOPNOTSUPP",
    });
  });

  test("reads no body of a server without ranges: it may be a terabyte", async () => {
    let written = 0;
    web.misbehave = (_, response) => {
      response.writeHead(200, { "content-length": 10 ** 12 });
      const more = (): void => {
        for (let turn = 0; turn < 100 && !response.destroyed; turn += 1) {
          written += 65_536;
          if (!response.write(CONTENT.subarray(0, 65_536))) break;
        }
      };
      response.on("drain", more);
      response.on("error", () => {});
      more();
      return true;
    };
    await expect(openHttpResource(`${web.url}/x.img`)).rejects.toMatchObject({
      code: "EOPNOTSUPP",
    });
    expect(written).toBeLessThan(50_000_000);
  });

  test("follows redirects, and stays where they led", async () => {
    web.misbehave = (request, response) => {
      if (request.url !== "/old") return false;
      response.writeHead(301, { location: "/x.img" }).end();
      return true;
    };
    expect(await read({ offset: 50_000, length: 10 }, "/old")).toEqual(
      CONTENT.slice(50_000, 50_010),
    );
    expect(web.asked.map((one) => one.split(" ")[1])).toEqual(["/old", "/x.img", "/x.img"]);
  });

  test("sends the authorization to the host that was named and to no other", async () => {
    const other = await startServer([["/x.img", { content: CONTENT, etag: '"x"' }]]);
    try {
      web.misbehave = (_, response) =>
        !!response.writeHead(302, { location: `${other.url}/x.img` }).end();
      await openHttpResource(`${web.url}/x.img`, { authorization: "Bearer secret" });
      expect(web.requests[0]?.headers.authorization).toBe("Bearer secret");
      expect(other.requests[0]?.headers.authorization).toBeUndefined();
    } finally {
      await other.end();
    }
  });

  test("nobody there is ENXIO with the host", async () => {
    await web.end();
    await expect(openHttpResource(`${web.url}/x.img`)).rejects.toMatchObject({
      code: "ENXIO",
      message: expect.stringContaining("ECONNREFUSED") as string,
    });
  });

  test("a server that speaks no TLS is a failure of its protection, with the URL", async () => {
    await expect(
      openHttpResource(`${web.url.replace("http:", "https:")}/x.img`),
    ).rejects.toMatchObject({
      code: "ENXIO",
    });
  });

  test.skipIf(!hasProgram("openssl"))(
    "refuses a certificate that nobody vouches for, and says so",
    async () => {
      const folder = temporary();
      const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
      const made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
      const named = ["-subj", "/CN=localhost", "-keyout", key, "-out", cert];
      execFileSync("openssl", [...made, ...named], { stdio: "ignore" });
      const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) });
      await new Promise<void>((resolve) => {
        server.listen(0, "127.0.0.1", resolve);
      });
      const { port } = server.address() as AddressInfo;
      await expect(openHttpResource(`https://localhost:${port}/x`)).rejects.toMatchObject({
        code: "ENXIO",
        message: expect.stringContaining("certificate") as string,
      });
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  );

  test.each(["ftp://host/x", "http://user:secret@host/x", "nonsense"])(
    "refuses %s",
    async (name) => {
      const error: unknown = await openHttpResource(name).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(RangeError);
      expect((error as Error).message).not.toContain("secret");
    },
  );
});
