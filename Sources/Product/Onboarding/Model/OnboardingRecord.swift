import Basics
import Crypto
import Fleet
import Link
import OpenClaw

/// What operators wrote down of an Org's onboarding. Its state is not in it: that follows.
public struct OnboardingRecord: Codable, Sendable, Equatable {
  /// Who speaks for the Org.
  public struct Contact: Codable, Sendable, Equatable {
    public var name: String
    public var email: String

    public init(name: String, email: String) { (self.name, self.email) = (name, email) }
  }

  /// The Instance that is to be provisioned, as the fleet is asked for it.
  public typealias Placement = FleetService.InstanceRequest.PlacementChoice

  /// Somebody's reason to go no further.
  public struct Hold: Codable, Sendable, Equatable {
    public let reason: String
    public let by: String
    public let at: Timestamp
  }

  /// The operation that was asked for, and the desired state that it carries out.
  public struct Provisioning: Codable, Sendable, Equatable {
    public let operation: String
    public let digest: String
  }

  public struct Change: Codable, Sendable, Equatable {
    public let by: String
    public let at: Timestamp
  }

  public let org: OrgID
  public var contact: Contact?
  public var placement: Placement?
  /// In the order in which they were asked for.
  public var surfaces: [String] = []
  /// What somebody chose; nil is what an onboarding has until then.
  public var baseline: BaselineChoice?
  /// The newest document of a handoff, if one was exported.
  public var handoff: HandoffMark?
  public var hold: Hold?
  public var provisioning: Provisioning?
  /// Counts the changes by operators, from 1; 0 before the first.
  public var version = 0
  /// The newest of them.
  public var changed: Change?
  public let begunBy: String
  public let begunAt: Timestamp

  /// The digest of everything that makes up the desired state: what a first-run report is bound to.
  func digest(org slug: Slug, _ credentials: [CredentialFact], at now: Timestamp) -> String {
    let settings = hardening.settings(at: now) ?? [:]
    let wanted = credentials.filter { surfaces.contains($0.surface) }.map(\.reference).sorted()
    let state: JSONValue = [
      "org": .string(slug.text), "credentials": .array(wanted.map { .string($0) }),
      "surfaces": .array(surfaces.sorted().map { .string($0) }), "baseline": .string(hardening.digest),
      "settings": .object(settings), "policy": PolicyFile.make(settings),
      "instance": placement.map { place -> JSONValue in
        [
          "slug": .string(place.slug.text), "runtime": .string(place.runtime.rawValue),
          "image": place.image.map { .string($0) } ?? .null, "host": place.host.map { .string($0.text) } ?? .null,
        ]
      } ?? .null,
    ]
    return "sha256:" + SHA256.hex(Array(state.canonical.utf8))
  }

  /// What is needed, and how it stands.
  ///
  /// - Parameter titles: what people call each surface.
  func requirements(
    org slug: Slug, _ credentials: [CredentialFact], _ titles: [String: String] = [:], at now: Timestamp
  ) -> [Requirement] {
    func setUp(_ id: String, _ kind: Requirement.Kind, _ title: String, _ isThere: Bool, _ option: String)
      -> Requirement
    {
      Requirement(
        id: id, kind: kind, title: title, status: isThere ? .valid : .missing,
        problem: isThere
          ? nil
          : .init(
            code: .onboardingIncomplete, "Nobody has said this yet.", who: .operator,
            next: "Say it: 'aw org onboard \(slug) \(option)'."))
    }
    let facts = Dictionary(credentials.map { ($0.surface, $0) }) { first, _ in first }
    let said = [
      setUp(
        "contact", .identity, "Who speaks for the Org", contact != nil, "--contact-name NAME --contact-email EMAIL"),
      setUp("instance", .instance, "The Instance to provision", placement != nil, "--instance NAME"),
      setUp("surfaces", .surfaces, "The models and channels", !surfaces.isEmpty, "--surface SURFACE"),
    ]
    return said + [baselineRequirement(slug)] + hardening.exceptions.map { $0.requirement(of: slug, at: now) }
      + surfaces.map { requirement(for: $0, facts[$0], titles[$0] ?? $0, slug) }
  }

  /// The baseline that counts.
  var hardening: BaselineChoice { baseline ?? BaselineChoice(Baseline.usual) }

  private func baselineRequirement(_ slug: Slug) -> Requirement {
    let isKnown = hardening.baseline != nil
    return Requirement(
      id: "baseline", kind: .baseline, title: "The baseline \(hardening.reference)",
      status: isKnown ? .valid : .invalid,
      problem: isKnown
        ? nil
        : .init(
          code: .baselineUnknown, "This release has no baseline \(hardening.name) with that content.", who: .operator,
          next: "Choose one that it has: 'aw org onboard \(slug) --baseline NAME'."))
  }

  private func requirement(for surface: String, _ fact: CredentialFact?, _ title: String, _ slug: Slug)
    -> Requirement
  {
    if let fact {
      return Requirement(
        id: surface, kind: .secretRef, title: fact.title, status: fact.status, problem: fact.problem)
    }
    return Requirement(
      id: surface, kind: .secretRef, title: title, status: .missing,
      problem: .init(
        code: .credentialUnknown, "The credential is not there yet.", who: .contact,
        next: "Set it: 'aw credential set \(slug) \(surface)'."))
  }
}
