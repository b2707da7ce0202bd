/** listen-address: places to listen at, their URIs, and sockets that are handed over. */
import { describe, expect, test } from "vitest";
import { activatedSocket, isLocal, parseListenAddress, uriOf } from "../../src/nbd/index.ts";

const about = { name: "disk.img", tls: false };

describe("parseListenAddress()", () => {
  test.each([
    [
      "unix:/run/a.sock",
      { kind: "unix", path: "/run/a.sock" },
      "nbd+unix:///disk.img?socket=/run/a.sock",
    ],
    [
      "tcp:127.0.0.1:10809",
      { kind: "tcp", host: "127.0.0.1", port: 10_809 },
      "nbd://127.0.0.1/disk.img",
    ],
    [
      "tcp:10810",
      { kind: "tcp", host: "127.0.0.1", port: 10_810 },
      "nbd://127.0.0.1:10810/disk.img",
    ],
    ["tcp:localhost", { kind: "tcp", host: "localhost", port: 10_809 }, "nbd://localhost/disk.img"],
    ["tcp:[::1]:99", { kind: "tcp", host: "::1", port: 99 }, "nbd://[::1]:99/disk.img"],
    ["tcp:0.0.0.0:7", { kind: "tcp", host: "0.0.0.0", port: 7 }, "nbd://0.0.0.0:7/disk.img"],
  ])("reads %s, and uriOf() names it", (text, address, uri) => {
    const parsed = parseListenAddress(text);
    expect(parsed).toEqual(address);
    expect(uriOf(parsed, about)).toBe(uri);
  });

  test.each(["", "unix:", "tcp:", "tcp:a:b", "tcp:localhost:99999", "udp:1", "/run/a.sock"])(
    "refuses %j with what is wanted",
    (text) => {
      expect(() => parseListenAddress(text)).toThrow(/want unix:PATH or tcp:HOST:PORT/);
    },
  );
});

describe("uriOf()", () => {
  test("escapes names and paths, and tells TLS", () => {
    const address = { kind: "unix", path: "/a b/ü?.sock" } as const;
    expect(uriOf(address, { name: "x@recovery", tls: true })).toBe(
      "nbds+unix:///x%40recovery?socket=/a%20b/%C3%BC%3F.sock",
    );
  });
});

describe("isLocal()", () => {
  test("is true for this machine alone", () => {
    const local = ["unix:/a", "tcp:127.0.0.1:1", "tcp:localhost:1", "tcp:[::1]:1"];
    expect(local.every((text) => isLocal(parseListenAddress(text)))).toBe(true);
    expect(isLocal(parseListenAddress("tcp:0.0.0.0:1"))).toBe(false);
  });
});

describe("activatedSocket()", () => {
  test("is the third descriptor, where the variables speak to this process", () => {
    const environment = { LISTEN_FDS: "1", LISTEN_PID: "42" };
    expect(activatedSocket(environment, 42)).toEqual({ kind: "descriptor", fd: 3 });
    expect(activatedSocket(environment, 43)).toBeUndefined();
    expect(activatedSocket({}, 42)).toBeUndefined();
  });
});
