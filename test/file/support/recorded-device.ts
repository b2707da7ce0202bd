/** A device in memory that remembers what its firmware was asked to clear, for the tables of Linux' answers. */
import type { ByteRange } from "../../../src/base/index.ts";
import { capabilitiesOf, checkSettings } from "../../../src/device/image-settings.ts";
import { MediaDevice, type ClearKind } from "../../../src/device/index.ts";
import { MemoryMedia } from "../../../src/device/memory-media.ts";
import { SimulatedMedia } from "../../../src/device/simulated-media.ts";
import { createMemoryStore } from "../../../src/poison/index.ts";

/** How the firmware of a test clears. */
export interface Firmware {
  /** @default "firmware" */
  readonly clear?: ClearKind;
  /** Bytes that one clear clears at most; 0 refuses. @default all */
  readonly clearLimit?: number;
  /** @default 256 */
  readonly clearUnit?: number;
}

/** A medium that remembers its clears: what it was asked, and not what it did. */
class RecordedMedia extends SimulatedMedia {
  readonly clears: ByteRange[] = [];

  override clear(range: ByteRange): number {
    this.clears.push({ offset: range.offset, length: range.length });
    return super.clear(range);
  }
}

/** A device over such a medium. */
export class RecordedDevice extends MediaDevice {
  readonly #media: RecordedMedia;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, firmware: Firmware = {}) {
    const { clear, clearUnit = 256, clearLimit } = firmware;
    const settings = checkSettings(
      { poisonUnit: 64, clearUnit, ...(clear === undefined ? {} : { clear }) },
      bytes.length,
    );
    const capabilities = capabilitiesOf(settings, false);
    const media = new RecordedMedia(new MemoryMedia(bytes, { name: "recorded", capabilities }), {
      capabilities,
      ...(clearLimit === undefined ? {} : { clearLimit }),
    });
    super(media, { store: createMemoryStore({ size: bytes.length }) });
    this.#media = media;
    this.#bytes = bytes;
  }

  /** What the firmware was asked to clear, in order. */
  get clears(): readonly ByteRange[] {
    return this.#media.clears;
  }

  /** Poisons whole units of 64 bytes, and destroys what they hold. */
  makeBad(range: ByteRange, { latent = false }: { readonly latent?: boolean } = {}): void {
    this.#bytes.fill(0xbd, range.offset, range.offset + range.length);
    this.#media.setFault({ ...range, kind: "poison", on: true });
    if (!latent) this.recordBad(range, "poisoned");
  }
}
