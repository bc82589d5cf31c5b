import Basics
import Link

/// What is due when, the earliest first: a binary heap.
///
/// An entry that was put in again with another time is not looked for: the older one is told apart by its ticket when
/// it comes up. So postponing costs nothing, and bringing forward one insertion.
struct DueQueue: Sendable {
  struct Entry: Sendable {
    let at: Timestamp
    let id: InstanceID
    let ticket: UInt64
  }

  private var entries: [Entry] = []

  var count: Int { entries.count }

  mutating func insert(_ entry: Entry) {
    entries.append(entry)
    var child = entries.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard entries[child].at < entries[parent].at else { return }
      entries.swapAt(child, parent)
      child = parent
    }
  }

  /// Takes the earliest out, if it is due by then.
  mutating func pop(by now: Timestamp) -> Entry? {
    guard let first = entries.first, first.at <= now else { return nil }
    let last = entries.removeLast()
    guard !entries.isEmpty else { return first }
    entries[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count {
        if entries[child].at < entries[least].at { least = child }
      }
      guard least != parent else { return first }
      entries.swapAt(parent, least)
      parent = least
    }
  }
}

/// First in, first out.
struct Line<Element: Sendable>: Sendable {
  private var elements: [Element] = []
  private var head = 0

  var isEmpty: Bool { head == elements.count }

  mutating func append(_ element: Element) { elements.append(element) }

  mutating func popFirst() -> Element? {
    guard head < elements.count else { return nil }
    defer { head += 1 }
    // What was taken out is dropped once it is most of the array, so that each element is moved once on average.
    if head > 64, head > elements.count / 2 {
      elements.removeFirst(head)
      head = 0
    }
    return elements[head]
  }
}

/// So many a second, with a small burst: what was not used for a while is not saved up.
struct TokenBucket: Sendable {
  let perSecond: Double
  let burst: Double
  private var tokens: Double
  private var filledAt: Timestamp?

  init(perSecond: Double, burst: Double) {
    self.perSecond = perSecond
    self.burst = burst
    tokens = burst
  }

  var isEmpty: Bool { tokens < 1 }
  var whole: Int { Int(tokens) }

  mutating func fill(at now: Timestamp) {
    if let filledAt, now > filledAt { tokens = min(burst, tokens + now.since(filledAt).seconds * perSecond) }
    filledAt = max(filledAt ?? now, now)
  }

  mutating func take() { tokens -= 1 }
}
