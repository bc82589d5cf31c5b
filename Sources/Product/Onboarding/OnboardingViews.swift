import Basics
import Fleet
import Link
import Web

/// An onboarding as the API shows it: the state, what is missing, and who has to do what next.
public struct OnboardingView: Codable, Sendable, Equatable {
  public let org: Slug
  public let state: OnboardingState
  /// There when, and only when, the state is `blocked`.
  public let block: OnboardingStanding.Block?
  public let requirements: [Requirement]
  public let contact: OnboardingRecord.Contact?
  public let instance: OnboardingRecord.Placement?
  public let surfaces: [String]
  public let baseline: HardeningView
  public let hold: OnboardingRecord.Hold?
  /// Of the desired state as it is now.
  public let digest: String
  /// The newest one; of an earlier desired state when its digest is another.
  public let report: FirstRunReport?
  /// Of the newest provisioning.
  public let operation: String?
  /// Counts the changes by operators, from 1.
  public let version: Int
  public let changedBy: String?
  public let changedAt: Timestamp?
  public let begunBy: String
  public let begunAt: Timestamp

  init(_ found: OnboardingLedger.Case) {
    baseline = HardeningView(found.record.hardening, at: found.at)
    let (record, standing) = (found.record, found.standing)
    (org, state, block) = (found.org.slug, standing.state, standing.block)
    (requirements, digest) = (found.facts.requirements, found.facts.digest)
    (contact, instance, surfaces, hold) = (record.contact, record.placement, record.surfaces, record.hold)
    if case .succeeded(let passed) = found.facts.job { report = passed } else { report = nil }
    operation = record.provisioning?.operation
    (changedBy, changedAt) = (record.changed?.by, record.changed?.at)
    (version, begunBy, begunAt) = (record.version, record.begunBy, record.begunAt)
  }

  private static let stateSchema = JSONSchema.oneOf(OnboardingState.allCases.map(\.rawValue))
  private static let party = JSONSchema.oneOf(Requirement.Party.allCases.map(\.rawValue))

  static let contactSchema = JSONSchema.object(["name": JSONSchema.text, "email": JSONSchema.text])
  static let instanceSchema = JSONSchema.object(
    [
      "slug": JSONSchema.slug, "runtime": JSONSchema.oneOf(RuntimeKind.allCases.map(\.rawValue)),
      "image": JSONSchema.text, "host": JSONSchema.slug,
    ], optional: ["image", "host"])

  static let schema = JSONSchema.object(
    [
      "org": JSONSchema.slug, "state": stateSchema,
      "block": JSONSchema.object([
        "code": JSONSchema.text, "message": JSONSchema.text, "who": party, "next": JSONSchema.text,
        "resumesTo": stateSchema,
      ]),
      "requirements": JSONSchema.array(
        of: JSONSchema.object(
          [
            "id": JSONSchema.text, "kind": JSONSchema.oneOf(Requirement.Kind.allCases.map(\.rawValue)),
            "title": JSONSchema.text, "status": JSONSchema.oneOf(Requirement.Status.allCases.map(\.rawValue)),
            "problem": JSONSchema.object([
              "code": JSONSchema.text, "message": JSONSchema.text, "who": party, "next": JSONSchema.text,
            ]),
          ], optional: ["problem"])),
      "baseline": HardeningView.schema, "contact": contactSchema, "instance": instanceSchema,
      "surfaces": JSONSchema.array(of: JSONSchema.text),
      "hold": JSONSchema.object(["reason": JSONSchema.text, "by": JSONSchema.text, "at": JSONSchema.time]),
      "digest": JSONSchema.text,
      "report": JSONSchema.object(
        [
          "digest": JSONSchema.text, "passed": JSONSchema.bool, "at": JSONSchema.time,
          "checks": JSONSchema.array(
            of: JSONSchema.object(["link": JSONSchema.text, "outcome": JSONSchema.text])), "operation": JSONSchema.id,
          "channels": JSONSchema.array(
            of: JSONSchema.object(
              ["channel": JSONSchema.text, "isOn": JSONSchema.bool, "reason": JSONSchema.text], optional: ["reason"])),
        ], optional: ["channels"]), "operation": JSONSchema.id, "version": JSONSchema.integer,
      "changedBy": JSONSchema.text,
      "changedAt": JSONSchema.time, "begunBy": JSONSchema.text,
      "begunAt": JSONSchema.time,
    ], optional: ["block", "contact", "instance", "hold", "report", "operation", "changedBy", "changedAt"])
}

/// What asking to provision answers.
public struct OnboardingRequestedView: Codable, Sendable {
  public let onboarding: OnboardingView
  public let operation: OperationView

  static let schema = JSONSchema.object([
    "onboarding": OnboardingView.schema, "operation": FleetSchemas.operation,
  ])
}
