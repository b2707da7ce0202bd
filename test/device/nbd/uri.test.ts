/** Where an export is: the URI specification, and what it leaves to clients. */
import { describe, expect, test } from "vitest";
import { isNbdUri, nbdKey, parseNbdUri } from "../../../src/device/index.ts";

describe("parseNbdUri()", () => {
  test("gives the export names of the specification's table", () => {
    const names = [
      "nbd://example.com/disk",
      "nbd+unix:///disk?socket=sock",
      "nbd://example.com/",
      "nbd://example.com",
      "nbd://example.com//disk",
      "nbd://example.com/hello%20world",
    ].map((uri) => parseNbdUri(uri).exportName);
    expect(names).toEqual(["disk", "disk", "", "", "/disk", "hello world"]);
  });

  test("reads host, port and IPv6, with the port of IANA and this machine as defaults", () => {
    const place = (uri: string): readonly [string, number] => {
      const { host, port } = parseNbdUri(uri);
      return [host, port];
    };
    expect(place("nbd://a.example:7/x")).toEqual(["a.example", 7]);
    expect(place("NBD://a.example/x")).toEqual(["a.example", 10_809]);
    expect(place("nbd://[::1]:7")).toEqual(["::1", 7]);
    expect(place("nbd:///x")).toEqual(["localhost", 10_809]);
  });

  test("reads sockets: percent-encoded, abstract, a plus sign as it is", () => {
    const socket = (uri: string): string | undefined => parseNbdUri(uri).socket;
    expect(socket("nbd+unix:///x?socket=%2Ftmp%2Fa%20b")).toBe("/tmp/a b");
    expect(socket("nbd+unix:///?socket=%00/abstract")).toBe("\0/abstract");
    expect(socket("nbd+unix:///?socket=/a+b")).toBe("/a+b");
  });

  test("reads what TLS needs, as libnbd names it", () => {
    const uri =
      "nbds://alice@host/x?tls-certificates=/pki&tls-hostname=other&tls-verify-peer=false";
    expect(parseNbdUri(uri).tls).toEqual({
      certificates: "/pki",
      pskFile: undefined,
      user: "alice",
      hostname: "other",
      verifyPeer: false,
    });
    expect(parseNbdUri("nbds+unix:///x?socket=s&tls-psk-file=/k").tls).toMatchObject({
      pskFile: "/k",
      verifyPeer: true,
    });
    expect(parseNbdUri("nbd://host/x").tls).toBeUndefined();
  });

  test.each([
    ["nbd+vsock://2/x", "nbds+unix: got nbd+vsock"],
    ["nbd:unix:/tmp/s:exportname=x", "want nbd://HOST[:PORT]/NAME"],
    ["nbd://host/x#part", "want nbd://HOST[:PORT]/NAME"],
    ["nbd://host:0/x", "want a port from 1 to 65535: got 0"],
    ["nbd://host:65536/x", "want a port from 1 to 65535"],
    ["nbd://ho st:x/x", "want HOST, HOST:PORT"],
    ["nbd://[::1/x", "want HOST, HOST:PORT"],
    ["nbd://host/%zz", "percent-encoded"],
    ["nbd://host/%ff", "percent-encoded"],
    ["nbd://host/a%00b", "without NUL"],
    [`nbd://host/${"a".repeat(4097)}`, "at most 4096 bytes"],
    [`nbd://host/${"a".repeat(40_000)}`, "want nbd://HOST"],
    ["nbd+unix:///x", "want ?socket=PATH"],
    ["nbd+unix:///x?socket=", "want a value for socket"],
    ["nbd+unix:///x?socket=a&socket=b", "want socket once"],
    ["nbd+unix:///x?socket=a%00b", "without NUL"],
    [`nbd+unix:///x?socket=${"a".repeat(108)}`, "at most 107 bytes"],
    ["nbd+unix://disk?socket=s", "want three slashes"],
    ["nbd://host/x?socket=s", "want nbd+unix"],
    ["nbd://host/x?speed=9", 'parameter "speed"'],
    ["nbd://host/x?tls-certificates=/pki", "want nbds or nbds+unix with tls-certificates"],
    ["nbd://alice@host/x", "want nbds or nbds+unix with a user"],
    ["nbds://host/x?tls-type=anon", "want tls-type x509 or psk"],
    ["nbds://host/x?tls-type=psk", "want tls-psk-file=FILE"],
    ["nbds://host/x?tls-psk-file=k&tls-certificates=p", "got both"],
    ["nbds://a@host/x?tls-username=b", 'want one user: got "a" and "b"'],
    ["nbds://host/x?tls-verify-peer=maybe", "want tls-verify-peer 0 or 1"],
  ])("refuses %s by name", (uri, wish) => {
    expect(() => parseNbdUri(uri)).toThrow(wish);
    expect(() => parseNbdUri(uri)).toThrow(/^EINVAL: Cannot read URI nbds?[:+]/);
  });
});

describe("isNbdUri()", () => {
  test("takes every spelling that is meant as one, and no path", () => {
    const texts = ["nbd://h", "NBDS+unix:///", "nbd:unix:x", "nbd.img", "./nbd:", "file:nbd://"];
    expect(texts.map(isNbdUri)).toEqual([true, true, true, false, false, false]);
  });
});

describe("nbdKey()", () => {
  test("is one for two spellings of one export, and another for another", () => {
    const key = (uri: string): string => nbdKey(parseNbdUri(uri));
    expect(key("nbd://HOST/a%62")).toBe(key("nbds://host:10809/ab"));
    expect(key("nbd://host/a")).not.toBe(key("nbd://host/b"));
    expect(key("nbd+unix:///a?socket=x")).not.toBe(key("nbd+unix:///a?socket=y"));
  });
});
