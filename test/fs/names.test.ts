/** nameToText(), textToName(): bytes of names to text and back, without losing one. */
import { assert, boolean, property, uint8Array } from "fast-check";
import { expect, test } from "vitest";
import { nameToText, textToName } from "../../src/fs/names.ts";

test("nameToText() leaves a name of valid UTF-8 as it is", () => {
  for (const name of ["report.txt", "Überblick", "日本語", "a b'c\"d", "\uFEFFbom"]) {
    expect(nameToText(Buffer.from(name))).toBe(name);
  }
});

test("nameToText() escapes what is no UTF-8, control characters and the backslash", () => {
  expect(nameToText(Uint8Array.of(0x61, 0xff, 0x62))).toBe("a\\xffb");
  expect(nameToText(Buffer.from("a\nb\\c"))).toBe("a\\x0ab\\\\c");
  expect(nameToText(Uint8Array.of(0xed, 0xa0, 0x80))).toBe("\\xed\\xa0\\x80");
});

test("nameToText() tells an encrypted name as base64url behind a marker that no plain name has", () => {
  expect(nameToText(Uint8Array.of(0xfb, 0x2f, 0x00), true)).toBe("\\encrypted:-y8A");
  expect(nameToText(Buffer.from("\\encrypted:-y8A"))).toBe("\\\\encrypted:-y8A");
});

test("textToName() gives back the bytes of every name", () => {
  assert(
    property(uint8Array({ minLength: 1, maxLength: 40 }), boolean(), (bytes, encrypted) => {
      expect([...textToName(nameToText(bytes, encrypted))]).toEqual([...bytes]);
    }),
  );
});

test("different names have different texts", () => {
  assert(
    property(uint8Array({ maxLength: 6 }), uint8Array({ maxLength: 6 }), (one, other) => {
      expect(nameToText(one) === nameToText(other)).toBe(Buffer.from(one).equals(other));
    }),
  );
});
