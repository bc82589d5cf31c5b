import Access
import Basics
import Evidence

/// The console's page of approvals and emergencies.
extension ApprovalRoutes {
  static let path = "/approvals"

  public var pages: RoomPages {
    RoomPages(navigation: [.init("Approvals", path: Self.path)], templates: [:])
  }

  var pageRoutes: [Route] {
    [
      .page(Self.path, "Acts that wait for another person, and emergencies.") { try await show($0) },
      answered("approve", "Approves exactly the act of a request.", .approvalGiven, approves: true),
      answered("refuse", "Refuses a request, for good.", .approvalRefused, approves: false),
      .form(
        "/approvals/emergencies", "Lets whoever asks do alone, for a while, what needs two people.", .emergencyOpen,
        .emergencyOpened
      ) { request in
        let form = try request.form()
        guard let minutes = Int(try form.text("minutes")) else { throw WebErrors.usage("The minutes are no number.") }
        _ = try await service.open(reason: try form.text("reason"), minutes: minutes, as: try request.actor)
        return .redirect(to: Self.path)
      },
      .form(
        "/approvals/emergencies/{id}/review", "Another person reviews an emergency, which ends it.", .approvalGive,
        .emergencyReviewed
      ) { request in
        let note = try request.form().text("note")
        _ = try await service.review(try request.id("id"), note: note, as: try request.actor)
        return .redirect(to: Self.path)
      },
    ]
  }

  private func answered(_ verb: String, _ summary: String, _ kind: EvidenceKind, approves: Bool) -> Route {
    .form("/approvals/{id}/\(verb)", summary, .approvalGive, kind) { request in
      _ = try await service.answer(
        try request.id("id"), approves: approves, note: try request.form().filled("note"), as: try request.actor)
      return .redirect(to: Self.path)
    }
  }

  private func show(_ request: WebRequest) async throws -> WebResponse {
    let requests = try await service.list(asSeenBy: try request.actor)
    let emergencies = try await service.emergencies(asSeenBy: try request.actor)
    let mayAnswer = request.caller?.role == .owner
    let (open, over) = (requests.filter { $0.view.isOpen }, requests.filter { !$0.view.isOpen })
    let unreviewed = emergencies.filter { $0.emergency.reviewedAt == nil }
    let reviewed = emergencies.filter { $0.emergency.reviewedAt != nil }
    let values: JSONValue = [
      "open": .array(open.map { Self.values(of: $0.view, $0.problem, mayAnswer: mayAnswer) }),
      "over": .array(over.map { Self.values(of: $0.view, $0.problem, mayAnswer: false) }),
      "hasOver": .bool(!over.isEmpty),
      "emergencies": .array(
        unreviewed.map { Self.values(of: $0.emergency, mayReview: mayAnswer && $0.isAnothers) }),
      "reviewed": .array(reviewed.map { Self.values(of: $0.emergency, mayReview: false) }),
      "hasReviewed": .bool(!reviewed.isEmpty),
      "rules": .array(try await service.rules().map(Self.values)), "mayAnswer": .bool(mayAnswer),
      "minutesMax": .integer(Int64(ApprovalLimits.emergencyMinutes.upperBound)),
    ]
    return .page(Page("Approvals", template: "approvals", values: values, live: topic))
  }

  // MARK: - What is shown

  private static func values(
    of view: ApprovalView, _ problem: ApprovalProblem?, mayAnswer: Bool
  ) -> JSONValue {
    let (approval, act) = (view.approval, view.approval.act)
    return [
      "id": .string(approval.id.text), "kind": .string(act.kind), "subject": act.subject.map { .string($0) } ?? .null,
      "org": act.org.map { .string($0) } ?? .null, "details": .array(details(of: act)),
      "digest": .string(approval.digest), "requester": .string(approval.requester.text),
      "at": .string(approval.requestedAt.description),
      "until": .string(approval.expiresAt.description), "state": .string(view.state.rawValue),
      "isApproved": .bool(view.state == .approved),
      "missing": .string(view.missing.map(\.text).joined(separator: ", ")),
      "votes": .array(
        approval.votes.map { vote in
          [
            "who": .string(vote.account.text), "verb": vote.approves ? "approved it" : "refused it",
            "at": .string(vote.at.description), "note": vote.note.map { .string($0) } ?? .null,
          ]
        }),
      "usedBy": approval.usedBy.map { .string($0.text) } ?? .null,
      "mayApprove": .bool(mayAnswer && problem == nil && view.state == .pending),
      "mayTakeBack": .bool(mayAnswer && problem == .selfGiven),
      "why": .string(why(view, problem, mayAnswer: mayAnswer)),
    ]
  }

  private static func details(of act: ApprovedAct) -> [JSONValue] {
    (act.details.objectValue ?? [:]).sorted { $0.key < $1.key }.map { name, value in
      ["name": .string(name), "value": .string(value.stringValue ?? value.canonical)]
    }
  }

  /// Why there is no button to approve it; empty when there is one.
  private static func why(_ view: ApprovalView, _ problem: ApprovalProblem?, mayAnswer: Bool) -> String {
    guard mayAnswer else { return "Only an owner answers a request." }
    guard view.state == .pending else { return "" }
    return switch problem {
    case nil: ""
    case .selfGiven: "You asked for it, so somebody else has to approve it."
    case .spoken: "You have answered it."
    case .noRole: "None of its roles is yours."
    case .used, .expired, .refused, .stale, .sameExecutor, .missing: "It is over."
    }
  }

  private static func values(of emergency: Emergency, mayReview: Bool) -> JSONValue {
    [
      "id": .string(emergency.id.text), "account": .string(emergency.account.text),
      "reason": .string(emergency.reason), "at": .string(emergency.openedAt.description),
      "until": .string(emergency.until.description),
      "acts": emergency.acts.count == 1 ? "1 act" : .string("\(emergency.acts.count) acts"),
      "mayReview": .bool(mayReview), "reviewer": emergency.reviewer.map { .string($0.text) } ?? .null,
      "note": emergency.note.map { .string($0) } ?? .null,
    ]
  }

  private static func values(of rule: ApprovalRule) -> JSONValue {
    [
      "kind": .string(rule.kind),
      "roles": .array(
        rule.roles.map { role in
          let people = role.people.map(\.text).joined(separator: ", ")
          return ["name": .string(role.name.text), "people": .string(people.isEmpty ? "any other owner" : people)]
        }),
      "lasts": .string(Duration.seconds(Int64(rule.minutes) * 60).words), "separate": .bool(rule.separateExecutor),
    ]
  }
}

extension ApprovalView {
  /// Somebody can still answer it or use it.
  fileprivate var isOpen: Bool { state == .pending || state == .approved }
}
