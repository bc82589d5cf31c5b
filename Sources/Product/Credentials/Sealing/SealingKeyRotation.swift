import Access
import Basics
import Evidence
import Store
import Web

extension EvidenceKind {
  public static let sealingKeyRotated = EvidenceKind("credential.sealing-key-rotated")
}

/// What became of the key that browsers seal to, as the API shows it: names, never a key.
public struct SealingKeyView: Codable, Sendable, Equatable {
  /// The name of the one that browsers are shown now.
  public let key: String
  public let former: String
  /// Until when what was sealed to the former one opens.
  public let formerOpensUntil: Timestamp

  static let schema = JSONSchema.object([
    "key": JSONSchema.text, "former": JSONSchema.text, "formerOpensUntil": JSONSchema.time,
  ])
}

extension IntakeService {
  /// Shows browsers another key from now on. What was sealed to the one before still opens for a time.
  ///
  /// - Throws: `forbidden`; `conflict` when somebody else did the same at this moment.
  public func rotateSealingKey(as actor: Actor, dryRun: Bool = false) async throws -> SealingKeyView {
    let former = try await keys.present
    // In the vault before it is recorded, so that nobody is shown a key that is not there.
    let fresh = try await keys.make()
    let act = Act(.credentialManage, kind: .sealingKeyRotated, subject: .init(type: "sealing-key", id: former.name))
    do {
      let view = try await credentials.acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
        let now = context.at
        let present = try SealingKeyRecords.present(in: tx)
        guard present.map({ $0.name == former.name }) ?? (former.place == SealingKeys.firstPlace) else {
          throw AWError(.conflict, "Another key was put in its place at the same moment.", next: "See the evidence.")
        }
        // The first one has no record until now.
        if present == nil {
          try SealingKeyRecords.insert(
            .init(name: former.name, place: former.place, madeAt: now, retiredAt: nil), in: tx)
        }
        try SealingKeyRecords.retire(former.name, at: now, in: tx)
        try SealingKeyRecords.insert(.init(name: fresh.name, place: fresh.place, madeAt: now, retiredAt: nil), in: tx)
        let view = SealingKeyView(
          key: fresh.name, former: former.name, formerOpensUntil: now.advanced(by: CredentialLimits.sealingOverlap))
        context.subject = EvidenceSubject(type: "sealing-key", id: fresh.name)
        context.record("former", .string(view.former))
        context.record("formerOpensUntil", .string(view.formerOpensUntil.description))
        return view
      }
      if dryRun { try await keys.forget(fresh) }
      return view
    } catch {
      try await keys.forget(fresh)
      throw error
    }
  }

  /// Forgets keys whose time is over.
  public func sweepSealingKeys() async throws { try await keys.sweep() }
}

extension IntakeRoutes {
  var sealingKey: Route {
    .act(
      .post, "/api/v1/sealing-key/rotate",
      "Shows browsers another key to seal values to. What was sealed to the one before still opens for a day.",
      .credentialManage, .sealingKeyRotated, schema: RouteSchema(response: SealingKeyView.schema, status: 202)
    ) { request in
      let dryRun = try request.dryRun
      let view = try await service.rotateSealingKey(as: try request.actor, dryRun: dryRun)
      guard dryRun else { return try .accepted(view, at: "/api/v1/evidence") }
      return try .plan(
        Plan(
          act: EvidenceKind.sealingKeyRotated.id, subject: "the key that browsers seal to",
          steps: [
            "Make a new key in the vault, and show browsers that one.",
            "Open what was sealed to \(view.former) until \(view.formerOpensUntil), then forget it.",
          ]))
    }
  }
}
