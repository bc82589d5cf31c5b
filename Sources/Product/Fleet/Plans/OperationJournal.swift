import Basics
import Evidence
import Store
import Work

/// Writes what an operation does into the evidence, in the step's own transaction.
public enum OperationJournal {
  public static func record(
    _ operation: WorkOperation, _ event: WorkEngine.WorkEvent, evidence: EvidenceLog, in tx: Transaction
  ) throws {
    let (kind, data) = entry(for: operation, event)
    try evidence.append(
      EvidenceEntry(
        kind: kind, at: operation.updatedAt, actor: operation.actor,
        subject: EvidenceSubject(
          type: subjectType(operation), id: operation.subject, slug: operation.input["slug"]?.stringValue),
        org: operation.input["org"]?.stringValue, act: operation.id.text, data: .object(data)),
      in: tx)
  }

  /// `instance.provision` is about an `instance`.
  private static func subjectType(_ operation: WorkOperation) -> String {
    operation.kind.split(separator: ".").first.map(String.init) ?? operation.kind
  }

  /// What the evidence says of an event: a pure translation.
  static func entry(
    for operation: WorkOperation, _ event: WorkEngine.WorkEvent
  ) -> (kind: EvidenceKind, data: [String: JSONValue]) {
    var data: [String: JSONValue] = ["operation": .string(operation.kind)]
    switch event {
    case .stepDone(let step, let detail):
      data.merge(["step": .string(step), "outcome": "done", "detail": detail]) { $1 }
      return (.operationStep, data)
    case .stepFailed(let step, let error):
      data.merge(
        ["step": .string(step), "outcome": "failed", "code": .string(error.code.id), "message": .string(error.message)]
      ) { $1 }
      return (.operationStep, data)
    case .stepUndone(let step):
      data.merge(["step": .string(step), "outcome": "undone"]) { $1 }
      return (.operationStep, data)
    case .succeeded:
      data["outcome"] = "succeeded"
      return (.operationEnded, data)
    case .failed:
      data["outcome"] = "failed"
      return (.operationEnded, data)
    }
  }
}
