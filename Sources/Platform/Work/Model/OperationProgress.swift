import Basics

/// Where a durable operation stands, and what comes next: the saga as a value.
///
/// Steps run in order. When one fails for good, the ones that began are undone in reverse. Each run and each undo may
/// happen more than once (a crash in between), so both are idempotent.
///
/// | state | event | next |
/// |---|---|---|
/// | running, step n pending | begun | step n running |
/// | step n running | done | step n+1, or succeeded after the last |
/// | step n running | failed | undoing, from step n |
/// | running | cancelled | undoing, from the last step that began |
/// | undoing, step n | undone | step n-1, or failed after the first |
public struct OperationProgress: Codable, Sendable, Equatable {
  public enum State: String, Codable, Sendable {
    case running
    case undoing
    case succeeded
    case failed
  }

  public enum StepState: String, Codable, Sendable {
    case pending
    case running
    case done
    case failed
    case undone
  }

  public struct Step: Codable, Sendable, Equatable {
    public let name: String
    public var state: StepState
    public var startedAt: Timestamp?
    public var finishedAt: Timestamp?
    public var attempts: Int
    /// What the step found or made, safe for people and evidence.
    public var detail: JSONValue
    /// Why the step is being tried again, while it is.
    public var waitingFor: String?

    init(name: String) {
      self.name = name
      state = .pending
      attempts = 0
      detail = .null
    }
  }

  public struct Failure: Codable, Sendable, Equatable {
    public let step: String
    public let code: String
    public let message: String
    public let next: String

    public init(step: String, _ error: AWError) {
      self.step = step
      code = error.code.id
      message = error.message
      next = error.next
    }

    public var error: AWError { AWError(ErrorCode.named(code), message, next: next) }
  }

  public enum Next: Sendable, Equatable {
    case run(Int)
    case undo(Int)
    case finished
  }

  public private(set) var state: State
  public private(set) var steps: [Step]
  public private(set) var failure: Failure?

  public init(steps: [String]) {
    state = steps.isEmpty ? .succeeded : .running
    self.steps = steps.map { Step(name: $0) }
  }

  public var next: Next {
    switch state {
    case .succeeded, .failed:
      return .finished
    case .running:
      return steps.firstIndex { $0.state != .done }.map { .run($0) } ?? .finished
    case .undoing:
      return steps.lastIndex { $0.state != .pending && $0.state != .undone }.map { .undo($0) } ?? .finished
    }
  }

  public mutating func began(_ index: Int, at now: Timestamp) {
    guard next == .run(index) else { return }
    steps[index].state = .running
    steps[index].startedAt = steps[index].startedAt ?? now
    steps[index].attempts += 1
    steps[index].waitingFor = nil
  }

  /// The step will be tried again; `why` is shown meanwhile.
  public mutating func waits(_ index: Int, for why: String) { steps[index].waitingFor = why }

  public mutating func finished(_ index: Int, detail: JSONValue, at now: Timestamp) {
    guard next == .run(index) else { return }
    steps[index].state = .done
    steps[index].finishedAt = now
    steps[index].detail = detail
    steps[index].waitingFor = nil
    if index == steps.count - 1 { state = .succeeded }
  }

  public mutating func failed(_ index: Int, _ error: AWError, at now: Timestamp) {
    guard next == .run(index) else { return }
    steps[index].state = .failed
    steps[index].finishedAt = now
    steps[index].waitingFor = nil
    failure = Failure(step: steps[index].name, error)
    state = .undoing
  }

  public mutating func undone(_ index: Int) {
    guard next == .undo(index) else { return }
    steps[index].state = .undone
    if case .finished = next { state = .failed }
  }
}
