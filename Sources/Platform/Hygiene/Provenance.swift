import Basics

/// Which identities a log has introduced as synthetic, and who else is named in it. A fold over the log, oldest first.
///
/// An Org is synthetic when the entry that made it says so; whatever belongs to it, and whoever acts, must have been
/// introduced as well. So an item of a real customer, or one that came from elsewhere, cannot pass.
public struct ProvenanceRegistry: Sendable {
  /// Which kinds introduce what.
  public struct Kinds: Sendable {
    /// Make an Org; the member `sort` says which sort.
    public let orgs: Set<String>
    /// Make something else that has an id: Hosts, Instances, operators.
    public let others: Set<String>

    public init(orgs: Set<String>, others: Set<String>) { (self.orgs, self.others) = (orgs, others) }
  }

  public static let version = "provenance/1"
  /// The sort of Org that may be in evidence.
  static let synthetic = "synthetic"
  /// Types of subjects that are identities.
  static let identities: Set<String> = ["org", "host", "instance", "operator"]

  private let kinds: Kinds
  private var orgs: Set<String> = []
  private var others: Set<String> = []

  public init(kinds: Kinds) { self.kinds = kinds }

  /// How many identities are known.
  public var count: Int { orgs.count + others.count }

  /// Takes in what an item introduces, and says who in it was not.
  public mutating func take(_ item: HygieneItem) -> [HygieneFinding] {
    introduce(item)
    var unknown: [(field: String, rule: String)] = []
    if let org = item.org, !orgs.contains(org) { unknown.append(("org", "org")) }
    if let subject = item.subject, Self.identities.contains(subject.type), Self.isID(subject.id),
      !(subject.type == "org" ? orgs : others).contains(subject.id)
    {
      unknown.append(("subject", subject.type))
    }
    if item.actor.hasPrefix("user/"), !others.contains(String(item.actor.dropFirst("user/".count))) {
      unknown.append(("actor", "operator"))
    }
    return unknown.map { field, rule in
      HygieneFinding(
        .provenance, item.index, field, rule, "The \(rule) that it names is not in the synthetic registry.")
    }
  }

  /// A name is none: whoever was refused to make something named what there is not.
  private static func isID(_ text: String) -> Bool {
    text.utf8.count == 36 && text.utf8.allSatisfy { PatternRules.Letters.hex.holds($0) || $0 == 0x2D }
  }

  private mutating func introduce(_ item: HygieneItem) {
    if kinds.orgs.contains(item.kind), item.data["sort"]?.stringValue == Self.synthetic {
      if let id = item.subject?.id ?? item.org { orgs.insert(id) }
    }
    if kinds.others.contains(item.kind), let id = item.subject?.id {
      // What belongs to an Org is as real as the Org.
      if item.org.map(orgs.contains) ?? true { others.insert(id) }
    }
  }
}
