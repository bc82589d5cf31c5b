import Access
import Basics
import Credentials
import Events
import Evidence
import Fleet
import Programme
import Store
import Web

extension EventType {
  static let emergency = EventType("aw.emergency")
}

/// What approvals and emergencies mean to the other rooms.
enum ApprovalParts {
  /// The acts that a rule can make need two people. All that is decisive about one is in its `Act`, not only in its
  /// body.
  static let kinds: [EvidenceKind] = [
    .instanceRemovalRequested, .hostRemoved, .credentialRemoved, .sealingKeyRotated, .authorityRotated,
    .evidenceErased, .operatorInvited, .operatorSuspended,
  ]

  /// Tells of an emergency while nobody has reviewed it.
  static func event(_ emergency: Emergency, at now: Timestamp) -> Event {
    let isOpen = emergency.reviewedAt == nil
    let title =
      isOpen
      ? "'\(emergency.account)' opened an emergency and may act alone until \(emergency.until): \(emergency.reason)"
      : "The emergency of '\(emergency.account)' was reviewed by '\(emergency.reviewer?.text ?? "")'"
    return Event(
      id: "emergency/\(emergency.id)/\(isOpen ? "opened" : "reviewed")", type: .emergency,
      subject: "emergency/\(emergency.id)", time: now, org: nil, severity: isOpen ? .critical : .info,
      condition: .init(key: "emergency/\(emergency.id)", isOpen: isOpen), title: title,
      data: [
        "account": .string(emergency.account.text), "reason": .string(emergency.reason),
        "until": .string(emergency.until.description), EventData.page: "/programme", EventData.runbook: "emergency",
      ])
  }

  /// A task for each emergency that nobody has reviewed.
  @Sendable static func tasks(_ tx: Transaction) throws -> [ReviewTask] {
    try ApprovalRecords.unreviewed(in: tx).map { emergency in
      ReviewTask(
        id: emergency.id.text,
        words: "Review the emergency of '\(emergency.account)' (until \(emergency.until), "
          + "\(emergency.acts.count == 1 ? "1 act" : "\(emergency.acts.count) acts") done alone): "
          + "another person runs 'aw emergency review \(emergency.id) --note TEXT'",
        since: emergency.openedAt, people: [])
    }
  }
}
