import Access
import Basics

/// A "won't do" line that closes something now.
public struct ClosedLine: Sendable, Equatable {
  public let sequence: Slug
  public let packet: PacketDigest
  public let line: WontDo
  /// The gates that a packet which opens it would have to pass.
  public let gates: [RequiredGate]
  /// Since when that packet is there: what happened earlier is not held against it.
  public let since: Timestamp
}

/// An entry of the evidence log whose kind and typed data say that it reached a scope.
public struct ScopedEvidence: Sendable, Equatable {
  public let reference: EvidenceReference
  public let kind: String
  public let scope: ActScope
  /// Whether a signed gate for exactly that is named in it.
  public let namesGate: Bool

  public init(_ reference: EvidenceReference, kind: String, scope: ActScope, namesGate: Bool) {
    (self.reference, self.kind, self.scope, self.namesGate) = (reference, kind, scope, namesGate)
  }
}

/// What the packets close at a moment: pure.
///
/// The lines of the active sequence close what they name. What touches real customers, or cannot be taken back, stays
/// closed by any packet of the programme, whichever sequence is active and before the first one is: to supersede a
/// sequence opens nothing. After an amendment a line of either packet closes, until the new one is approved and work on
/// it began.
public struct ScopeGuard: Sendable {
  private let closed: [ActScope: ClosedLine]

  public init(_ programme: Programme, _ trust: ProgrammeTrust, at now: Timestamp) {
    let ordered = programme.ordered
    let bound = ordered.filter { $0.isUnderWay || Self.isLeftBehind($0, in: programme) }
    let isBound = Set(bound.map(\.id))
    var closed: [ActScope: ClosedLine] = [:]
    var opened: Set<ActScope> = []
    for sequence in bound + ordered.filter({ !isBound.contains($0.id) }) {
      for revision in Self.inForce(sequence) {
        for line in revision.value.packet.wontDo {
          for scope in line.scopes where isBound.contains(sequence.id) || scope.isStanding {
            // A line without an exception wins over one that has one.
            if let before = closed[scope], !before.line.unlessApproved || line.unlessApproved { continue }
            closed[scope] = ClosedLine(
              sequence: sequence.id, packet: revision.value.digest, line: line,
              gates: sequence.packet.approvals, since: revision.at)
          }
        }
      }
      opened.formUnion(Self.opened(sequence, trust, at: now))
    }
    // The active sequence's own lines win over what another one opened.
    let own = Set(bound.flatMap { Self.inForce($0).flatMap { $0.value.packet.wontDo.flatMap(\.scopes) } })
    self.closed = closed.filter { scope, _ in own.contains(scope) || !opened.contains(scope) }
  }

  /// The line that closes a scope now; nil when none does.
  public func line(closing scope: ActScope) -> ClosedLine? { closed[scope] }

  /// The line that an entry of the evidence stands against; nil when it is in scope. It should never be there: acts are
  /// refused before. If it is, somebody went another way.
  func line(against evidence: ScopedEvidence) -> ClosedLine? {
    guard let closed = closed[evidence.scope], closed.since <= evidence.reference.at else { return nil }
    return closed.line.unlessApproved && evidence.namesGate ? nil : closed
  }

  /// The current packet, and the one that work began on, if that is another.
  private static func inForce(_ sequence: SequenceRecord) -> [Recorded<SequenceRecord.Revision>] {
    let current = sequence.current
    guard let begun = sequence.begun, begun.value.digest != current.value.digest else { return [current] }
    return [begun, current]
  }

  /// Work on it began and was given up for another sequence, on which it has not begun: its lines go on until then.
  private static func isLeftBehind(_ sequence: SequenceRecord, in programme: Programme) -> Bool {
    guard let successor = sequence.successor?.value, let begun = sequence.begun,
      sequence.execution(.finish, of: begun.value.digest) == nil
    else { return false }
    return programme.sequences[successor]?.begun == nil
  }

  /// What a packet opened that is approved, and on which work began.
  private static func opened(_ sequence: SequenceRecord, _ trust: ProgrammeTrust, at now: Timestamp) -> Set<ActScope> {
    guard !sequence.packet.opens.isEmpty, sequence.successor == nil, sequence.begun?.value.digest == sequence.digest,
      DecisionCheck(sequence, trust, at: now).isApproved
    else { return [] }
    return Set(sequence.packet.opens)
  }
}

extension ClosedLine {
  /// Why an act is refused: the packet, the line, and the gates that would allow it.
  public func error(_ scope: ActScope) -> AWError {
    let gates = gates.map(\.kind.rawValue).joined(separator: ", then ")
    // What was closed before there was a programme keeps its code.
    let code: ErrorCode =
      switch scope {
      case .realOrg: .orgNotSynthetic
      case .realCredential, .nonProductionCredential: .credentialClassRefused
      default: .programmeScopeClosed
      }
    let ask =
      line.unlessApproved
      ? "A signed gate for exactly this is enough: 'aw gate request'." : "See 'aw programme packet show \(sequence)'."
    return AWError(
      code,
      "This is out of the scope of the programme (\(scope.rawValue)): the packet \(packet.short) of '\(sequence)' says "
        + "\(line.phrase.quoted).",
      next: "An amended packet that opens it would allow it, when it has passed these gates: \(gates). "
        + ask)
  }
}
