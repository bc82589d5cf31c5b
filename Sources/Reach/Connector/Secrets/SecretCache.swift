import Basics
import Link

/// The last known good values of this Host's Instances, with their age: a value, so that time is given.
///
/// An entry is of an Org: its Instances on this Host share it, and no other Org's finds it.
struct SecretCache: Sendable {
  struct Key: Hashable, Codable, Sendable {
    let org: Slug
    let id: String
  }

  struct Entry: Sendable {
    /// Nil: the id means nothing.
    let value: Secret?
    let readAt: Timestamp
  }

  enum Standing: Sendable {
    /// To be given out as it is.
    case fresh(Secret?)
    /// To be asked for anew, and given out if nobody can be asked.
    case aged(Secret)
    /// To be asked for.
    case missing
  }

  private(set) var entries: [Key: Entry] = [:]

  init(_ entries: [Key: Entry] = [:]) { self.entries = entries }

  func standing(of key: Key, at now: Timestamp) -> Standing {
    guard let entry = entries[key] else { return .missing }
    let age = now.since(entry.readAt)
    guard age >= .zero - SecretLimits.clockBackMax else { return .missing }
    guard let value = entry.value else { return age < SecretLimits.absentFor ? .fresh(nil) : .missing }
    if age < SecretLimits.freshFor { return .fresh(value) }
    return age < SecretLimits.keptFor ? .aged(value) : .missing
  }

  /// Takes in what the control plane said. What it says means nothing takes the place of a value.
  mutating func take(_ outcomes: [String: Secret?], of org: Slug, at now: Timestamp) {
    for (id, value) in outcomes { entries[Key(org: org, id: id)] = Entry(value: value, readAt: now) }
    // What would not be given out any more is not kept either.
    entries = entries.filter { key, _ in if case .missing = standing(of: key, at: now) { false } else { true } }
  }

  mutating func forget(where isOver: (Key) -> Bool) { entries = entries.filter { !isOver($0.key) } }
}

/// So many at once, and so many per second after that: a value, so that time is given.
struct TokenBucket: Sendable {
  let capacity: Double
  let perSecond: Double
  private var level: Double
  private var at: Timestamp

  init(capacity: Double, perSecond: Double, at now: Timestamp) {
    self.capacity = capacity
    self.perSecond = perSecond
    level = capacity
    at = now
  }

  /// - Returns: how many of those wanted are given.
  mutating func take(_ wanted: Int, at now: Timestamp) -> Int {
    level = min(capacity, level + max(0, now.since(at).seconds) * perSecond)
    at = now
    let given = min(wanted, Int(level))
    level -= Double(given)
    return given
  }
}
