import Basics

/// What the checks found: which ran, over how many items, when, by which rules. It holds for those items, and for none
/// that was added afterwards.
public struct HygieneVerdict: Sendable, Codable, Equatable {
  public enum Outcome: String, Sendable, Codable {
    case passed
    /// Something waits for a person.
    case review
    case failed
  }

  /// One check.
  public struct Check: Sendable, Codable, Equatable {
    public let layer: HygieneLayer
    public let title: String
    public let outcome: Outcome
    /// How many items it looked at.
    public let items: Int
    /// How many items it found something in, without those that a person has looked at.
    public let found: Int
    /// Of its rules: SHA-256, lower-case hexadecimal.
    public let rules: String
  }

  public let at: Timestamp
  /// How many entries the log had: all of them were looked at.
  public let items: Int64
  /// How many values of secrets were looked for.
  public let values: Int
  /// References of values that are too short or too plain to be looked for.
  public let tooPlain: [String]
  /// How many identities the synthetic registry has.
  public let identities: Int
  public let checks: [Check]
  /// The first of what was found.
  public let findings: [HygieneFinding]

  /// How many findings a verdict has at most.
  public static let findingsMax = 100

  public init(
    at: Timestamp, items: Int64, values: Int, tooPlain: [String], identities: Int, checks: [Check],
    findings: [HygieneFinding]
  ) {
    (self.at, self.items, self.values, self.tooPlain) = (at, items, values, tooPlain)
    (self.identities, self.checks) = (identities, checks)
    self.findings = Array(findings.prefix(Self.findingsMax))
  }

  public var outcome: Outcome {
    if checks.contains(where: { $0.outcome == .failed }) { return .failed }
    return checks.contains { $0.outcome == .review } ? .review : .passed
  }
}

/// The rules of all checks, and one run of them: a pure fold over items, oldest first.
public struct HygieneRun: Sendable {
  private let scanner: ExactScanner
  private let profiles: FieldProfiles
  private let rules: [HygieneLayer: String]
  private var registry: ProvenanceRegistry
  private var items: Int64 = 0
  /// The first of what was found; of all, only the entries are kept.
  private var findings: [HygieneFinding] = []
  private var found: [HygieneLayer: Set<Int64>] = [:]
  private var reviewed: Set<Int64> = []
  /// Entries with a field, or of a kind, that no profile has: what is in them is not shown to anybody.
  public private(set) var unknown: Set<Int64> = []

  /// - Parameter rules: the digests of the rules, by check.
  public init(
    scanner: ExactScanner, profiles: FieldProfiles, kinds: ProvenanceRegistry.Kinds, rules: [HygieneLayer: String]
  ) {
    (self.scanner, self.profiles, self.rules) = (scanner, profiles, rules)
    registry = ProvenanceRegistry(kinds: kinds)
  }

  /// Looks at the next item.
  ///
  /// - Parameters:
  ///   - bytes: the item as it is kept.
  ///   - beside: what is kept beside it: the disclosures of redactable fields, by name.
  /// - Returns: what was found in it.
  @discardableResult
  public mutating func take(_ item: HygieneItem, bytes: [UInt8], beside: [String: String] = [:]) -> [HygieneFinding] {
    items += 1
    let exact = scanner.scan(bytes)
    let found =
      (exact.findings + beside.values.flatMap { scanner.scan($0).findings }).map {
        HygieneFinding(
          .exactValues, item.index, "", $0.reference, "It holds the value of \($0.reference), \($0.form.title).")
      }
      + exact.unread.map { _ in
        HygieneFinding(.patterns, item.index, "", "unread", "It holds a compressed stream that could not be read.")
      }
      + PatternRules.findings(in: item) + Self.quarantine(item, beside) + profiles.findings(in: item)
      + registry.take(item)
    for finding in found {
      self.found[finding.layer, default: []].insert(finding.entry)
      if FieldProfiles.unknownRules.contains(finding.rule) { unknown.insert(finding.entry) }
      if findings.count < Self.findingsMax { findings.append(finding) }
    }
    return found
  }

  private static let findingsMax = 10_000

  /// Fields that were put aside when the item was written. An erased one is gone, and waits for nobody.
  private static func quarantine(_ item: HygieneItem, _ beside: [String: String]) -> [HygieneFinding] {
    (item.data[FieldProfiles.quarantined]?.objectValue ?? [:]).sorted { $0.key < $1.key }.compactMap { name, rule in
      guard beside[name] != nil, let rule = rule.stringValue else { return nil }
      return HygieneFinding(
        .patterns, item.index, name, rule, "It is in quarantine: the text has the form of a secret (\(rule)).")
    }
  }

  /// A person looked at what was found in an entry, and let it be. What fails is not let be by anybody.
  public mutating func review(_ entry: Int64) { reviewed.insert(entry) }

  /// The entries in which a check found something that still stands.
  public func open(_ layer: HygieneLayer) -> Set<Int64> {
    let found = found[layer] ?? []
    return layer.blocks ? found : found.subtracting(reviewed)
  }

  public func verdict(at now: Timestamp, tooPlain: [String]) -> HygieneVerdict {
    let checks = HygieneLayer.allCases.map { layer in
      let found = open(layer).count
      return HygieneVerdict.Check(
        layer: layer, title: layer.title, outcome: found == 0 ? .passed : layer.blocks ? .failed : .review,
        items: Int(items), found: found, rules: rules[layer] ?? "")
    }
    return HygieneVerdict(
      at: now, items: items, values: scanner.values, tooPlain: tooPlain, identities: registry.count, checks: checks,
      findings: findings.filter { $0.layer.blocks || !reviewed.contains($0.entry) })
  }
}
