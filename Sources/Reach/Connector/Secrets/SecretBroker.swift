import Basics
import Foundation
import Link
import Logging

/// Answers the Instances of this Host that ask for secrets: from what is known, or by one question to the control
/// plane, however many ask at once.
public actor SecretBroker {
  /// Puts a question on a link.
  typealias Line = @Sendable (SecretQuestion) async throws -> Void

  private struct Flight {
    let ids: Set<String>
    let task: Task<[String: Secret?], Never>
  }

  private let store: SecretStore
  private let clock: WallClock
  private let logger: Logger
  private let answerWithin: Duration
  private var cache: SecretCache
  private var lines: [(link: ObjectIdentifier, line: Line)] = []
  private var buckets: [InstanceID: TokenBucket] = [:]
  private var flights: [Slug: [Int64: Flight]] = [:]
  private var waiting: [Int64: AsyncStream<SecretAnswer>.Continuation] = [:]
  private var lastNumber: Int64 = 0

  /// - Parameters:
  ///   - directory: where the Host's identity is kept.
  ///   - key: the Host's own.
  public init(directory: String, key: Secret, clock: WallClock = .system, logger: Logger) {
    self.init(SecretStore(directory: directory, key: key), clock: clock, logger: logger)
  }

  init(
    _ store: SecretStore, clock: WallClock, answerWithin: Duration = SecretLimits.answerWithin, logger: Logger
  ) {
    self.store = store
    self.clock = clock
    self.logger = logger
    self.answerWithin = answerWithin
    do {
      cache = try store.load()
    } catch {
      // It is a copy: what cannot be read is asked for again.
      logger.warning("the sealed secrets of this Host cannot be read", metadata: ["reason": "\(error)"])
      cache = SecretCache()
    }
  }

  // MARK: - Instances

  /// - Parameter ids: each once.
  func resolve(_ ids: [String], for instance: InstanceID, of org: Slug) async -> [String: SecretOutcome] {
    var outcomes: [String: SecretOutcome] = [:]
    var kept: [String: Secret] = [:]
    var wanted: [String] = []
    let now = clock.now
    var others: [String] = []
    for id in ids {
      guard SecretExchange.isWellFormed(id) else {
        outcomes[id] = .malformed
        continue
      }
      // What is kept is kept for an Org: another Instance's own must neither be found there nor get there.
      if let named = InstanceSecretID.instance(of: id), named != instance {
        outcomes[id] = .absent
        others.append(id)
        continue
      }
      switch cache.standing(of: .init(org: org, id: id), at: now) {
      case .fresh(let value): outcomes[id] = value.map { .value($0) } ?? .absent
      case .aged(let value):
        kept[id] = value
        wanted.append(id)
      case .missing: wanted.append(id)
      }
    }
    // Beside the rest: the program that asks has only so long.
    let telling = others.isEmpty ? nil : Task { [others] in await tell(others, by: instance, at: now) }
    let (tasks, limited) = asking(wanted, for: instance, of: org, at: now)
    var answers: [String: Secret?] = [:]
    for task in tasks { answers.merge(await task.value) { first, _ in first } }
    for id in wanted {
      if let answer = answers[id] {
        outcomes[id] = answer.map { .value($0) } ?? .absent
      } else if let value = kept[id] {
        outcomes[id] = .value(value)
      } else {
        outcomes[id] = limited.contains(id) ? .limited : .unavailable
      }
    }
    await telling?.value
    return outcomes
  }

  /// Finds what is under way already, and asks for the rest as far as the Instance may.
  private func asking(
    _ wanted: [String], for instance: InstanceID, of org: Slug, at now: Timestamp
  ) -> (tasks: [Task<[String: Secret?], Never>], limited: Set<String>) {
    let under = (flights[org] ?? [:]).values.filter { !$0.ids.isDisjoint(with: wanted) }
    let covered = under.reduce(into: Set<String>()) { $0.formUnion($1.ids) }
    var rest = wanted.filter { !covered.contains($0) }
    guard !rest.isEmpty else { return (under.map(\.task), []) }
    let given = take(rest.count, by: instance, at: now)
    let limited = Set(rest.dropFirst(given))
    rest = Array(rest.prefix(given))
    guard !rest.isEmpty else { return (under.map(\.task), limited) }
    let question = question(rest, by: instance)
    let task = Task { await fly(question, of: org) }
    flights[org, default: [:]][question.number] = Flight(ids: Set(rest), task: task)
    return (under.map(\.task) + [task], limited)
  }

  /// How many of so many questions an Instance may ask now.
  private func take(_ wanted: Int, by instance: InstanceID, at now: Timestamp) -> Int {
    var bucket =
      buckets[instance]
      ?? TokenBucket(capacity: SecretLimits.asksBurst, perSecond: SecretLimits.asksPerSecond, at: now)
    defer { buckets[instance] = bucket }
    return bucket.take(wanted, at: now)
  }

  private func question(_ ids: [String], by instance: InstanceID) -> SecretQuestion {
    lastNumber += 1
    return SecretQuestion(number: lastNumber, instance: instance, ids: ids)
  }

  /// Lets the control plane know what an Instance asked for that is another's. Whatever it answers goes nowhere.
  private func tell(_ ids: [String], by instance: InstanceID, at now: Timestamp) async {
    let told = Array(ids.prefix(take(ids.count, by: instance, at: now)))
    guard !told.isEmpty else { return }
    logger.warning(
      "an Instance asked for another Instance's secrets",
      metadata: ["instance": "\(instance)", "count": "\(ids.count)"])
    _ = await ask(question(told, by: instance))
  }

  /// Forgets what is an Instance's own: it is gone.
  func forget(_ instance: InstanceID) {
    cache.forget(where: { InstanceSecretID.instance(of: $0.id) == instance })
    save()
  }

  /// Forgets an Org's values: no Instance of it is left on this Host.
  func forget(_ org: Slug) {
    cache.forget(where: { $0.org == org })
    save()
  }

  // MARK: - The control plane

  private func fly(_ question: SecretQuestion, of org: Slug) async -> [String: Secret?] {
    defer {
      flights[org]?[question.number] = nil
      if flights[org]?.isEmpty == true { flights[org] = nil }
    }
    guard let answer = await ask(question) else { return [:] }
    var outcomes: [String: Secret?] = [:]
    // Only what was asked for: an answer to something else must not find its way into the cache.
    for id in question.ids {
      if let value = answer.values.values[id] {
        outcomes[id] = value
      } else if answer.absent.contains(id) {
        outcomes[id] = Secret?.none
      }
    }
    guard !outcomes.isEmpty else { return [:] }
    cache.take(outcomes, of: org, at: clock.now)
    save()
    return outcomes
  }

  private func save() {
    do {
      try store.save(cache)
    } catch {
      logger.warning("the secrets of this Host could not be sealed", metadata: ["reason": "\(error)"])
    }
  }

  /// Asks on one link after another, until one carries the question; nil when no answer comes in time.
  private func ask(_ question: SecretQuestion) async -> SecretAnswer? {
    let (answers, continuation) = AsyncStream<SecretAnswer>.makeStream(bufferingPolicy: .bufferingOldest(1))
    waiting[question.number] = continuation
    defer { waiting[question.number] = nil }
    for (_, line) in lines {
      do {
        try await line(question)
        return try await Deadline.run(answerWithin) { await answers.first { _ in true } } ?? nil
      } catch {
        logger.debug("a question did not reach the control plane", metadata: ["reason": "\(error)"])
      }
    }
    return nil
  }

  func deliver(_ answer: SecretAnswer) { waiting[answer.number]?.yield(answer) }

  /// A link is there on which the control plane can be asked.
  func attach(_ link: ObjectIdentifier, _ line: @escaping Line) { lines.append((link, line)) }

  func detach(_ link: ObjectIdentifier) { lines.removeAll { $0.link == link } }
}
