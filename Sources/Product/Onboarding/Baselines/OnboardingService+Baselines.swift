import Access
import Basics
import Evidence
import Fleet
import OpenClaw
import Store

extension EvidenceKind {
  public static let baselineExceptionAsked = EvidenceKind("baseline.exception-asked")
  public static let baselineExceptionApproved = EvidenceKind("baseline.exception-approved")
  public static let baselineExceptionWithdrawn = EvidenceKind("baseline.exception-withdrawn")
}

/// The acts on the baseline of an Org.
extension OnboardingService {
  static let exceptionsMax = 16

  /// What somebody asks for when a value has to be weaker than the baseline's for a time.
  public struct ExceptionRequest: Codable, Sendable {
    public let key: String
    public let value: JSONValue
    public let owner: String
    public let reason: String
    public let until: Timestamp

    public init(key: String, value: JSONValue, owner: String, reason: String, until: Timestamp) {
      (self.key, self.value, self.owner, self.reason, self.until) = (key, value, owner, reason, until)
    }
  }

  /// Puts the choice of a request into a record.
  ///
  /// - Throws: `baselineUnknown`, `baselineKeyUnknown`, `usage`, `baselineWeaker`.
  static func choose(
    _ request: SaveRequest, for slug: Slug, in record: inout OnboardingRecord, _ context: inout ActContext
  ) throws {
    guard request.baseline != nil || request.overlay != nil else { return }
    let before = record.hardening
    let baseline = try request.baseline.map { try Baseline.named($0) } ?? before.baseline ?? .usual
    var choice = BaselineChoice(baseline)
    choice.overlay = try BaselineChoice.checked(request.overlay ?? before.overlay, over: baseline, org: slug)
    choice.exceptions = before.exceptions
    record.baseline = choice
    context.record("baseline", .string("\(choice.name)@\(choice.digest)"))
    context.record("overlay", .object(choice.overlay))
  }

  /// What a choice would change in the configuration of the Org's Instance, before it is made.
  ///
  /// - Throws: `orgUnknown`, and what the choice is refused for.
  public func changes(of request: SaveRequest, org slug: Slug) async throws -> [BaselineChange] {
    let now = ledger.clock.now
    return try await store.read { tx in
      let org = try Self.org(slug, in: tx)
      let known = try OnboardingRecords.find(org.id, in: tx)
      var record = known ?? OnboardingRecord(org: org.id, begunBy: "", begunAt: now)
      // Without an onboarding an Instance has none of these settings from AW.
      let before = known?.hardening.settings(at: now) ?? [:]
      let baseline = try request.baseline.map { try Baseline.named($0) } ?? record.hardening.baseline ?? .usual
      var choice = BaselineChoice(baseline)
      choice.overlay = try BaselineChoice.checked(
        request.overlay ?? record.hardening.overlay, over: baseline, org: slug)
      choice.exceptions = record.hardening.exceptions
      record.baseline = choice
      return BaselineChange.between(before, choice.settings(at: now) ?? [:])
    }
  }

  /// Asks for an exception. It counts when somebody else has approved it, and until its time is over.
  ///
  /// - Throws: `onboardingUnknown`, `baselineKeyUnknown`, `usage`; `conflict` when the value needs none.
  public func askException(
    _ request: ExceptionRequest, org slug: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> OnboardingView {
    let (owner, reason) = (try Self.plain(request.owner, "owner"), try Self.plain(request.reason, "reason"))
    let key = try BaselineChoice.governed(request.key, request.value)
    return try await act(.baselineExceptionAsked, slug, actor, dryRun, mustExist: true) { record, context in
      var choice = record.hardening
      let last = context.at.advanced(by: .seconds(BaselineException.daysMax * 86_400))
      guard request.until > context.at, request.until <= last else {
        throw AWError(
          .usage, "An exception ends, at most \(BaselineException.daysMax) days from now.",
          next: "Give a time until \(last), such as 2027-01-31T00:00:00Z.")
      }
      let floor = choice.baseline?.settings[key.path] ?? .null
      guard !key.order.verdict(of: request.value, against: floor).isAtLeastAsStrict else {
        throw AWError(
          .conflict, "\(key.path) = \(request.value.canonical) is as strict as the baseline asks for.",
          next: "No exception is needed: 'aw org onboard \(slug) --set \(key.path)=VALUE'.")
      }
      choice.exceptions.removeAll { $0.key == key.path }
      guard choice.exceptions.count < Self.exceptionsMax else {
        throw AWError(
          .conflict, "There are \(Self.exceptionsMax) exceptions already.",
          next: "Take one back: 'aw baseline withdraw \(slug) KEY'.")
      }
      choice.exceptions.append(
        BaselineException(
          key: key.path, value: key.order.normal(request.value), owner: owner, reason: reason, until: request.until,
          askedBy: actor.text, askedAt: context.at))
      choice.exceptions.sort { $0.key < $1.key }
      record.baseline = choice
      context.record("key", .string(key.path))
      context.record("value", request.value)
      context.record("reason", .string(reason))
      context.record("until", .string("\(request.until)"))
      context.redactable = [Redactable("owner", .string(owner))]
    }
  }

  /// Approves one that somebody else asked for.
  ///
  /// - Throws: `onboardingUnknown`, `baselineExceptionUnknown`, `baselineExceptionExpired`, and `forbidden` to whoever
  ///   asked for it, by whatever token.
  public func approveException(
    _ key: String, org slug: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> OnboardingView {
    try await act(.baselineExceptionApproved, slug, actor, dryRun, mustExist: true) { tx, record, context in
      var choice = record.hardening
      guard let index = choice.exceptions.firstIndex(where: { $0.key == key }) else { throw Self.none(key, slug) }
      let exception = choice.exceptions[index]
      switch exception.status(at: context.at) {
      case .asked: break
      case .approved:
        throw AWError(.conflict, "The exception for \(key) is approved already.", next: "There is nothing to do.")
      case .expired:
        throw AWError(
          .baselineExceptionExpired, "The exception for \(key) ended at \(exception.until).",
          next: "Ask for it anew: 'aw baseline except \(slug) \(key) VALUE'.")
      }
      let asker = try Actor(exception.askedBy).flatMap { try AccessRecords.person(behind: $0, in: tx) }
      guard let approver = try AccessRecords.person(behind: actor, in: tx), approver != asker else {
        throw AWError(
          .forbidden, "Nobody approves an exception that they asked for.",
          next: "Let another operator do it: 'aw baseline approve \(slug) \(key)'.")
      }
      choice.exceptions[index].approvedBy = actor.text
      choice.exceptions[index].approvedAt = context.at
      record.baseline = choice
      context.record("key", .string(key))
      context.record("value", exception.value)
      context.record("askedBy", .string(exception.askedBy))
    }
  }

  /// Takes an exception back: what the baseline asks for holds again, once the Instance is provisioned anew.
  ///
  /// - Throws: `onboardingUnknown`, `baselineExceptionUnknown`.
  public func withdrawException(
    _ key: String, org slug: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> OnboardingView {
    try await act(.baselineExceptionWithdrawn, slug, actor, dryRun, mustExist: true) { record, context in
      var choice = record.hardening
      guard choice.exceptions.contains(where: { $0.key == key }) else { throw Self.none(key, slug) }
      choice.exceptions.removeAll { $0.key == key }
      record.baseline = choice
      context.record("key", .string(key))
    }
  }

  private static func none(_ key: String, _ slug: Slug) -> AWError {
    AWError(
      .baselineExceptionUnknown, "The Org '\(slug)' has no exception for \(key.quoted).",
      next: "See 'aw org onboard \(slug)'.")
  }
}
