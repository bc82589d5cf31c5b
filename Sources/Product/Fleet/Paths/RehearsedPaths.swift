import Access
import Basics
import Synchronization

/// Paths that somebody had checked on a page and may switch to, with their secrets: in this process's memory only, so
/// that a page never has to give a secret back.
///
/// Each is for one actor and one Instance, is taken once, and is forgotten after `keptFor`.
final class RehearsedPaths: Sendable {
  static let keptFor = Duration.seconds(600)
  /// One more, and the oldest is forgotten.
  static let heldMax = 32

  private struct Held {
    let request: FleetService.PathRequest
    let instance: Slug
    let actor: Actor
    let until: Timestamp
  }

  private let held = Mutex<[String: Held]>([:])

  /// - Returns: the mark that it is taken by: 128 random bits.
  func hold(_ request: FleetService.PathRequest, of instance: Slug, by actor: Actor, at now: Timestamp) -> String {
    let mark = Hex.encode([UInt8].random(count: 16))
    let one = Held(request: request, instance: instance, actor: actor, until: now.advanced(by: Self.keptFor))
    held.withLock { held in
      held = held.filter { $0.value.until > now }
      if held.count >= Self.heldMax, let oldest = held.min(by: { $0.value.until < $1.value.until }) {
        held[oldest.key] = nil
      }
      held[mark] = one
    }
    return mark
  }

  /// - Throws: `pathCheckForgotten` when it is not there, too old, or somebody else's.
  func take(
    _ mark: String, of instance: Slug, by actor: Actor, at now: Timestamp
  ) throws(AWError) -> FleetService.PathRequest {
    let one = held.withLock { held -> Held? in
      guard let one = held[mark], one.instance == instance, one.actor == actor else { return nil }
      held[mark] = nil
      return one
    }
    guard let one, one.until > now else {
      throw AWError(
        .pathCheckForgotten, "That check is no longer known: it is kept for \(Self.keptFor.words), and for one switch.",
        next: "Check the path again, then switch.")
    }
    return one.request
  }
}
