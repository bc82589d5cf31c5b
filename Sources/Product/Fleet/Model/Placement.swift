import Basics
import Link

/// Decides whether an Instance may be created, and where: values in, verdict out.
public enum Placement {
  /// What is asked for.
  public struct Request: Sendable, Equatable {
    public var slug: Slug
    public var runtime: RuntimeKind
    public var image: String?
    public var host: Slug?

    public init(slug: Slug, runtime: RuntimeKind, image: String?, host: Slug?) {
      self.slug = slug
      self.runtime = runtime
      self.image = image
      self.host = host
    }
  }

  /// A Host that could take it, as known now.
  public struct Candidate: Sendable, Equatable {
    public var host: Host
    public var isConnected: Bool
    public var instances: Int

    public init(host: Host, isConnected: Bool, instances: Int) {
      self.host = host
      self.isConnected = isConnected
      self.instances = instances
    }
  }

  /// The Host for the request: the one that was named, or the connected one with the fewest Instances.
  ///
  /// - Throws: `hostUnknown`, `hostOffline`, `hostDraining`, `runtimeUnavailable`, `usage`.
  public static func choose(_ request: Request, among candidates: [Candidate]) throws(AWError) -> Host {
    if request.runtime == .docker, request.image == nil {
      throw AWError(
        .usage, "The docker runtime needs an image.", next: "Name one with --image, best by digest.")
    }
    if let name = request.host {
      guard let named = candidates.first(where: { $0.host.slug == name }) else {
        throw AWError(
          .hostUnknown, "There is no Host named '\(name)'.", next: "See 'aw host list', or enrol one: 'aw host enroll'."
        )
      }
      if let problem = problem(with: named, for: request) { throw problem }
      return named.host
    }
    guard !candidates.isEmpty else {
      throw AWError(.hostUnknown, "There is no Host yet.", next: "Enrol one: 'aw host enroll'.")
    }
    let usable = candidates.filter { problem(with: $0, for: request) == nil }
    let best = usable.min { ($0.instances, $0.host.slug) < ($1.instances, $1.host.slug) }
    if let best { return best.host }
    // Nobody can take it: the reason of the first says most when there is one Host, and names it when there are more.
    throw problem(with: candidates[0], for: request)
      ?? AWError(.hostOffline, "No Host can take the Instance now.", next: "See 'aw host list'.")
  }

  static func problem(with candidate: Candidate, for request: Request) -> AWError? {
    let host = candidate.host
    switch host.state {
    case .invited:
      return AWError(
        .hostOffline, "The Host '\(host.slug)' was invited but has not enrolled yet.",
        next: "Run the line that 'aw host enroll' printed on that machine.")
    case .draining:
      return AWError(
        .hostDraining, "The Host '\(host.slug)' takes no new Instances: it is draining.", next: "Choose another Host.")
    case .active:
      break
    }
    guard candidate.isConnected else {
      return AWError(
        .hostOffline, "The Host '\(host.slug)' has no link now.",
        next: "Check its Connector; it dials again by itself.")
    }
    let runtime = host.runtimes.first { $0.kind == request.runtime }
    guard let runtime, runtime.available else {
      let detail = runtime?.detail ?? "its Connector does not offer it"
      let why = detail.hasSuffix(".") ? String(detail.dropLast()) : detail
      return AWError(
        .runtimeUnavailable, "The Host '\(host.slug)' cannot use the runtime '\(request.runtime.rawValue)': \(why).",
        next: "Mend that on the Host, or choose another runtime or Host.")
    }
    return nil
  }
}
