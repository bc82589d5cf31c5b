import Basics
import Evidence
import Link
import Web

/// What another room tells on the timelines of Instances, from evidence of its own.
public struct TimelineSource: Sendable {
  public struct Line: Sendable {
    public let sort: TimelineItem.Sort
    /// One sentence.
    public let title: String
    public let reason: String?

    public init(_ sort: TimelineItem.Sort, _ title: String, reason: String?) {
      (self.sort, self.title, self.reason) = (sort, title, reason)
    }
  }

  let kinds: [EvidenceKind]
  let line: @Sendable (EvidenceEntry, _ org: Slug, InstanceID) -> Line?

  /// - Parameter line: what an entry says of an Instance; nil when it does not concern it.
  public init(_ kinds: [EvidenceKind], line: @escaping @Sendable (EvidenceEntry, _ org: Slug, InstanceID) -> Line?) {
    (self.kinds, self.line) = (kinds, line)
  }
}

/// One thing that happened to an Instance: an evidence entry, read for people.
///
/// Nothing of it is stored beside the evidence. What a loss is called is what is known of it now.
public struct TimelineItem: Codable, Sendable, Equatable {
  public enum Sort: String, Codable, Sendable, CaseIterable {
    /// Its status became another one.
    case status
    /// Its status began, or ceased, to go back and forth.
    case flapping
    /// The link of its Host came up, was lost, or its loss got another class.
    case link
    /// Somebody asked for something.
    case act
    /// An operation ended.
    case operation
    /// The Watchdog began, or ceased, to doubt itself.
    case watchdog
    /// Much of its Host or of its release was lost, or is back: one event stands for all of it.
    case disruption
    /// Its alerts are muted, or no longer.
    case silence
  }

  public struct LossDetail: Codable, Sendable, Equatable {
    public let id: LossID
    public let lossClass: LossClass
    public let side: LossClass.Side
    public let explanation: String
    /// How long the Host had no link; nil while it has none.
    public let outageMilliseconds: Int64?

    private enum CodingKeys: String, CodingKey {
      case id, side, explanation, outageMilliseconds
      case lossClass = "class"
    }
  }

  /// The evidence entry that says so.
  public let index: Int64
  public let at: Timestamp
  public let sort: Sort
  /// One sentence.
  public let title: String
  public let actor: String
  public var reason: String?
  public var from: Status?
  public var to: Status?
  /// The link of the chain that explains the status; nil when nothing is broken.
  public var cause: ChainLink?
  /// The chain as it was last seen then, with outcomes and times; nil where the entry does not hold it.
  public var chain: [CheckView]?
  public var loss: LossDetail?
  public var operation: OperationView?

  public static let schema = JSONSchema.object(
    [
      "index": JSONSchema.integer, "at": JSONSchema.time, "sort": JSONSchema.oneOf(Sort.allCases.map(\.rawValue)),
      "title": JSONSchema.text, "actor": JSONSchema.text, "reason": JSONSchema.text, "from": status, "to": status,
      "cause": JSONSchema.oneOf(ChainLink.allCases.map(\.rawValue)), "chain": JSONSchema.array(of: FleetSchemas.check),
      "loss": JSONSchema.object(
        [
          "id": JSONSchema.id, "class": JSONSchema.oneOf(LossClass.allCases.map(\.rawValue)),
          "side": JSONSchema.oneOf(LossClass.Side.allCases.map(\.rawValue)), "explanation": JSONSchema.text,
          "outageMilliseconds": JSONSchema.integer,
        ], optional: ["outageMilliseconds"]), "operation": FleetSchemas.operation,
    ], optional: ["reason", "from", "to", "cause", "chain", "loss", "operation"])

  private static let status = JSONSchema.oneOf(Status.allCases.map(\.rawValue))
}

extension TimelineItem {
  /// What entries about the Instance itself tell.
  static let ofInstance: [EvidenceKind] =
    [.instanceStatusChanged, .instanceFlappingBegan, .instanceFlappingEnded, .instancePathSwitched, .operationEnded]
    + Array(acts.keys).sorted { $0.id < $1.id }
  static let ofHost: [EvidenceKind] = [.hostConnected, .hostDisconnected, .lossReclassified]
  static let ofWatchdog: [EvidenceKind] = [.disruptionBegan, .disruptionEnded]
  static let ofScopes: [EvidenceKind] = [.scopeDisruptionBegan, .scopeDisruptionEnded]

  private static let acts: [EvidenceKind: String] = [
    .instanceRequested: "It was asked for.", .instanceStartRequested: "Somebody asked to start it.",
    .instanceStopRequested: "Somebody asked to stop it.", .instanceRestartRequested: "Somebody asked to restart it.",
    .instanceRemovalRequested: "Somebody asked to remove it.",
  ]

  /// Reads an entry: a pure translation.
  ///
  /// - Parameters:
  ///   - loss: the loss that the entry names.
  ///   - operation: the operation that the entry belongs to.
  /// - Returns: nil for an entry of another kind.
  init?(_ record: EvidenceRecord, loss: Loss?, operation: OperationView?) {
    let (entry, data) = (record.entry, record.entry.data)
    guard let (sort, title) = Self.headline(entry.kind, data, operation) else { return nil }
    (index, at, self.sort, self.title, actor) = (record.index, entry.at, sort, title, entry.actor)
    reason = data["reason"]?.stringValue
    from = data["from"]?.stringValue.flatMap(Status.init)
    to = data["to"]?.stringValue.flatMap(Status.init)
    cause = data["link"]?.stringValue.flatMap(ChainLink.init)
    chain = Self.chain(data["chain"])
    self.loss = loss.map { loss in
      LossDetail(
        id: loss.id, lossClass: loss.verdict.lossClass, side: loss.verdict.lossClass.side,
        explanation: loss.verdict.lossClass.explanation,
        outageMilliseconds: loss.recoveredAt.map { $0.since(loss.at).milliseconds })
    }
    if sort == .operation { self.operation = operation }
  }

  /// What another room told.
  init(_ record: EvidenceRecord, _ line: TimelineSource.Line) {
    (index, at, sort, title) = (record.index, record.entry.at, line.sort, line.title)
    (actor, reason) = (record.entry.actor, line.reason)
  }

  private static func headline(
    _ kind: EvidenceKind, _ data: JSONValue, _ operation: OperationView?
  ) -> (Sort, String)? {
    func word(_ name: String) -> String { data[name]?.stringValue ?? "unknown" }
    switch kind {
    case .instanceStatusChanged: return (.status, "Its status went from \(word("from")) to \(word("to")).")
    case .instanceFlappingBegan: return (.flapping, "Its status goes back and forth: changes are not told one by one.")
    case .instanceFlappingEnded: return (.flapping, "Its status is calm again: \(word("to")).")
    case .instancePathSwitched: return (.act, "Its control path went from \(word("from")) to \(word("to")).")
    case .hostConnected: return (.link, "The link of its Host came up.")
    case .hostDisconnected: return (.link, "The link of its Host was lost.")
    case .lossReclassified:
      return (.link, "A loss of its Host's link was \(word("to")), not \(word("from")): the Connector told.")
    case .disruptionBegan: return (.watchdog, "The Watchdog began to doubt itself.")
    case .disruptionEnded: return (.watchdog, "The Watchdog believes what it sees again.")
    case .scopeDisruptionBegan, .scopeDisruptionEnded: return disruption(kind, data).map { (.disruption, $0) }
    case .operationEnded: return (.operation, "The operation \(word("operation")) \(word("outcome")).")
    default: return acts[kind].map { (.act, $0) }
    }
  }

  private static func disruption(_ kind: EvidenceKind, _ data: JSONValue) -> String? {
    guard let scope = data["scope"]?.stringValue else { return nil }
    let of = scope.hasPrefix("host/") ? "on its Host" : "of OpenClaw \(scope.dropFirst("release/".count))"
    guard kind == .scopeDisruptionBegan, let lost = data["lost"]?.intValue, let all = data["instances"]?.intValue
    else { return "Most Instances \(of) are back." }
    return "\(lost) of \(all) Instances \(of) were lost at once: one event stands for all of them."
  }

  private static func chain(_ json: JSONValue?) -> [CheckView]? {
    guard let results = try? json?.decode([CheckResult].self), !results.isEmpty else { return nil }
    var evidence = StatusEvidence()
    for result in results { evidence.newest[result.link] = result }
    return CheckView.chain(evidence)
  }
}

extension StatusEvidence {
  /// The chain as last seen, for the entry of a transition: outcomes and times, without what the checks saw.
  var chain: JSONValue {
    get throws {
      try JSONValue(
        encoding: ChainLink.allCases.compactMap { link in
          newest[link].map { result in
            CheckResult(
              link: link, outcome: result.outcome, at: result.at, durationMilliseconds: result.durationMilliseconds,
              evidence: .null)
          }
        })
    }
  }
}
