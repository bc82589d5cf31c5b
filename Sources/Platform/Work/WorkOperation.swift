import Basics

public enum OperationTag {}
public typealias OperationID = ID<OperationTag>

/// A durable piece of work: what was asked, by whom, and how far it has come.
public struct WorkOperation: Codable, Sendable, Equatable {
  public let id: OperationID
  /// `instance.provision`: names the plan that carries it out.
  public let kind: String
  /// What it is about; one subject has at most one running operation.
  public let subject: String
  /// Who asked, as evidence names them.
  public let actor: String
  /// The request, complete: a plan reads nothing else.
  public let input: JSONValue
  public let createdAt: Timestamp
  public internal(set) var updatedAt: Timestamp
  public internal(set) var progress: OperationProgress

  public var isFinished: Bool { progress.next == .finished }
}

/// How one kind of operation is carried out.
public struct OperationPlan: Sendable {
  /// One step of a plan. `run` and `undo` may both be called again after a crash at any point.
  public struct Step: Sendable {
    public let name: String
    /// From the first attempt to the last, tries and waits included.
    public let deadline: Duration
    let run: @Sendable (WorkOperation) async throws -> JSONValue
    let undo: (@Sendable (WorkOperation) async throws -> Void)?
    /// Errors that waiting can mend, within the deadline.
    let retries: @Sendable (AWError) -> Bool

    public init(
      _ name: String, deadline: Duration, retries: @escaping @Sendable (AWError) -> Bool = { _ in false },
      run: @escaping @Sendable (WorkOperation) async throws -> JSONValue,
      undo: (@Sendable (WorkOperation) async throws -> Void)? = nil
    ) {
      self.name = name
      self.deadline = deadline
      self.retries = retries
      self.run = run
      self.undo = undo
    }
  }

  public let kind: String
  public let steps: [Step]

  public init(kind: String, steps: [Step]) {
    self.kind = kind
    self.steps = steps
  }
}
