/**
 * Section: a stretch of code in which a mapping collects errors instead of throwing them.
 *
 *     const section = mapping.beginSection();
 *     for (const page of pages) counts.push(mapping.load(page.bytes, page.offset));
 *     const { events, failed } = section.end();
 *     if (failed > 0) fetchFromReplica(events);
 *
 * Loads and stores that meet bad bytes return what they moved before those. Sections nest: an event goes to the innermost. A section that spans
 * an `await` also collects what other code does with the same mapping meanwhile; give each task a mapping of its own.
 */
import { EventRing, type MappingEvent, type RingContent } from "./event-ring.ts";

/** What happened in a section. */
export interface SectionResult extends RingContent {
  /** Accesses of this section that met bad bytes, the overflowed ones too. 0: all that was loaded is data. */
  readonly failed: number;
}

/** The rings of a mapping: one for each open section, and one for what happens outside. */
export class EventRings {
  readonly #outside: EventRing;
  readonly #sections: Section[] = [];

  /** @param capacity events that the ring outside of sections holds */
  constructor(capacity: number) {
    this.#outside = new EventRing(capacity);
  }

  /** Whether errors are collected and not thrown. */
  get inSection(): boolean {
    return this.#sections.length > 0;
  }

  push(event: MappingEvent): void {
    this.#innermost().push(event);
  }

  /** Takes what happened outside of sections. */
  take(): RingContent {
    return this.#outside.take();
  }

  begin(capacity: number): Section {
    const ring = new EventRing(capacity);
    const section = new Section(ring, {
      end: () => this.#end(section),
      abandon: () => this.#abandon(section),
    });
    this.#sections.push(section);
    return section;
  }

  #end(section: Section): void {
    if (this.#sections.at(-1) !== section)
      throw new RangeError("Cannot end the section: want the one that began last to end first");
    this.#sections.pop();
  }

  /** Ends a section and all that began in it; each gives what it holds to the ring around it. */
  #abandon(section: Section): void {
    while (this.#sections.includes(section)) {
      const innermost = this.#sections.pop();
      innermost?.giveUp(this.#innermost());
    }
  }

  #innermost(): EventRing {
    return this.#sections.at(-1)?.ring ?? this.#outside;
  }
}

/** What a section asks of the mapping's rings. */
interface SectionOwner {
  end(): void;
  abandon(): void;
}

/** One open section. */
export class Section {
  /** Where its events go; the mapping's own. */
  readonly ring: EventRing;
  readonly #owner: SectionOwner;
  #result: SectionResult | undefined;

  constructor(ring: EventRing, owner: SectionOwner) {
    this.ring = ring;
    this.#owner = owner;
  }

  /** Accesses that met bad bytes so far. Costs nothing: ask after every batch. */
  get failed(): number {
    return this.#result?.failed ?? this.ring.required;
  }

  /**
   * Ends the section. Ending twice gives the same result.
   *
   * @throws {RangeError} if a section that began later is still open
   */
  end(): SectionResult {
    if (this.#result !== undefined) return this.#result;
    this.#owner.end();
    const failed = this.ring.required;
    this.#result = { ...this.ring.take(), failed };
    return this.#result;
  }

  /** Ends the section because its code threw: what it and the sections in it hold goes to the ring around it, so that nothing is dropped. */
  abandon(): void {
    this.#owner.abandon();
  }

  /** Hands what it holds to another ring; the mapping's own way to end it. */
  giveUp(to: EventRing): void {
    const failed = this.ring.required;
    to.add(this.ring);
    this.#result = { events: [], overflow: 0, overflowRange: undefined, failed };
  }
}
