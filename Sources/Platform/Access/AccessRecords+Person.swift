import Basics
import Store

extension AccessRecords {
  /// The login name of the person behind an actor: of a token, whoever made it. Nil for AW itself, and for whoever came
  /// over the control plane's socket.
  public static func person(behind actor: Actor, in tx: Transaction) throws -> Slug? {
    switch actor {
    case .operator(let id): try find(id, in: tx)?.name
    case .apiToken(let id): try find(id, in: tx).flatMap { try find($0.operatorID, in: tx)?.name }
    case .system: nil
    }
  }
}
