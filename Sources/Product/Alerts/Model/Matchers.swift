import Basics
import Events

/// Which alerts a route or a silence is for: all that is given must hold.
public struct Matchers: Codable, Sendable, Equatable {
  /// Of this Org, by its slug.
  public var org: Slug?
  /// Of one of these types; none means any.
  public var types: [String]
  /// At least so severe.
  public var severity: EventSeverity?
  /// Whose subject or condition begins with this text, such as `instance/<id>`.
  public var subject: String?

  public init(org: Slug? = nil, types: [String] = [], severity: EventSeverity? = nil, subject: String? = nil) {
    self.org = org
    self.types = types
    self.severity = severity
    self.subject = subject
  }

  private enum CodingKeys: String, CodingKey { case org, types, severity, subject }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      org: try members.decodeIfPresent(Slug.self, forKey: .org),
      types: try members.decodeIfPresent([String].self, forKey: .types) ?? [],
      severity: try members.decodeIfPresent(EventSeverity.self, forKey: .severity),
      subject: try members.decodeIfPresent(String.self, forKey: .subject))
  }

  /// What is matched: of an alert, or of a notice that opens nothing.
  struct Facts: Sendable, Equatable {
    let org: String?
    let type: String
    let severity: EventSeverity
    let subject: String
    let key: String?

    init(_ event: Event) {
      org = event.data[EventData.org]?.stringValue
      (type, severity, subject) = (event.type.rawValue, event.severity, event.subject)
      key = event.condition?.key
    }

    init(_ alert: NotifiedAlert) {
      org = alert.data[EventData.org]?.stringValue
      (type, severity, subject, key) = (alert.type, alert.severity, alert.subject, alert.key)
    }
  }

  func take(_ facts: Facts) -> Bool {
    if let org, facts.org != org.text { return false }
    if !types.isEmpty, !types.contains(facts.type) { return false }
    if let severity, facts.severity.rank < severity.rank { return false }
    if let subject, !facts.subject.hasPrefix(subject), facts.key?.hasPrefix(subject) != true { return false }
    return true
  }

  /// In a few words, for people.
  public var words: String {
    var parts: [String] = []
    if let org { parts.append("Org \(org)") }
    if !types.isEmpty { parts.append(types.joined(separator: " or ")) }
    if let severity { parts.append("\(severity.rawValue) or worse") }
    if let subject { parts.append(subject) }
    return parts.isEmpty ? "everything" : parts.joined(separator: ", ")
  }

  /// - Throws: `usage` for a type or a subject that nothing can ever have.
  func check() throws(AWError) {
    guard types.count <= AlertLimits.typesMax, types.allSatisfy({ $0.wholeMatch(of: /[a-z0-9.-]{1,80}/) != nil }) else {
      throw AWError(
        .usage, "An event type is lower-case words with dots between them, \(AlertLimits.typesMax) at most.",
        next: "See docs/alerts.md for the types that there are.")
    }
    guard (subject?.utf8.count ?? 0) <= AlertLimits.textBytesMax else {
      throw AWError(.usage, "The subject is too long.", next: "Give the beginning of a subject, such as host/<id>.")
    }
  }
}
