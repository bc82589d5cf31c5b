import Access
import Basics
import Fleet
import Web

/// What an Org's page says of its baseline and its handoff. Both are changed by the command line: the page says how.
public struct OnboardingSections: Sendable {
  private let service: OnboardingService

  public init(service: OnboardingService) { self.service = service }

  /// The settings that the Instance has at least; nil when nobody has begun the onboarding.
  public func baseline(of org: OrgView, _ request: WebRequest) async throws -> Page.Section? {
    guard let hardening = try await view(of: org.slug)?.baseline else { return nil }
    func rows(_ settings: [String: JSONValue]) -> JSONValue {
      .array(
        settings.sorted { $0.key < $1.key }.map { ["key": .string($0.key), "value": .string($0.value.canonical)] })
    }
    return Page.Section(
      template: "onboarding/baseline",
      values: [
        "org": .string(org.slug.text), "reference": .string(hardening.reference),
        "settings": rows(hardening.settings), "count": .string(String(hardening.settings.count)),
        "overlay": rows(hardening.overlay), "hasOverlay": .bool(!hardening.overlay.isEmpty),
        "exceptions": .array(
          hardening.exceptions.map {
            [
              "key": .string($0.key), "value": .string($0.value.canonical), "status": .string($0.status.rawValue),
              "owner": .string($0.owner), "reason": .string($0.reason), "until": .string($0.until.description),
              "untilText": .string($0.until.toTheMinute),
            ]
          }), "hasExceptions": .bool(!hardening.exceptions.isEmpty),
      ])
  }

  /// How far the handoff is; nil when nobody has begun the onboarding.
  public func handoff(of org: OrgView, _ request: WebRequest) async throws -> Page.Section? {
    guard let onboarding = try await view(of: org.slug) else { return nil }
    let handoff = try await service.handoff(org: org.slug)
    let stage = HandoffStage.of(handoff.mark, desired: handoff.desired, onboarding.state)
    let open = handoff.lines.filter { $0.answer == .open }
    // The dates of what stays to be done count from the document: of one that is out, it alone has them.
    let mayExport = stage == .open || stage == .outdated
    let names = try await ActorNames(of: [handoff.mark?.exportedBy, handoff.mark?.completedBy], in: service.store)
    return Page.Section(
      template: "onboarding/handoff",
      values: [
        "org": .string(org.slug.text), "stage": .string(stage.rawValue), "look": .string(Self.look(stage)),
        "mark": handoff.mark.map {
          [
            "document": .string($0.document), "exportedBy": .string(names.words(for: $0.exportedBy)),
            "at": .string($0.exportedAt.description), "completedBy": .string(names.words(for: $0.completedBy)),
            "completedAt": .string($0.completedAt?.description ?? ""),
          ]
        } ?? .null,
        "mayExport": .bool(mayExport), "maySign": .bool(stage == .exported),
        "waits": .bool(stage == .waiting),
        "open": .array(stage == .open ? open.map { ["id": .string($0.id), "title": .string($0.title)] } : []),
        "hasOpen": .bool(stage == .open && !open.isEmpty),
        "duties": .array(
          handoff.duties.map {
            [
              "what": .string($0.what), "who": .string($0.who.rawValue), "due": .string($0.due?.description ?? ""),
              "dueText": .string($0.due?.toTheMinute ?? ""),
            ]
          }), "hasDuties": .bool(mayExport && !handoff.duties.isEmpty),
      ])
  }

  private static func look(_ stage: HandoffStage) -> String {
    switch stage {
    case .waiting: "unknown"
    case .open, .exported, .outdated: "stale"
    case .complete: "current"
    }
  }

  private func view(of org: Slug) async throws -> OnboardingView? {
    do {
      return try await service.view(org: org)
    } catch let error as AWError where error.code == .onboardingUnknown {
      return nil
    }
  }
}
