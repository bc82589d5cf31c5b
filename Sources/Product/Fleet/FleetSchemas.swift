import Access
import Basics
import Link
import Web
import Work

/// The views as JSON Schema, for the OpenAPI document.
public enum FleetSchemas {
  static let org = JSONSchema.object([
    "id": JSONSchema.id, "slug": JSONSchema.slug, "name": JSONSchema.text,
    "sort": JSONSchema.oneOf(Org.Sort.allCases.map(\.rawValue)), "instances": JSONSchema.integer,
    "createdAt": JSONSchema.time,
  ])

  private static let runtimeKind = JSONSchema.oneOf(RuntimeKind.allCases.map(\.rawValue))

  static let host = JSONSchema.object(
    [
      "id": JSONSchema.id, "slug": JSONSchema.slug, "state": JSONSchema.oneOf(Host.State.allCases.map(\.rawValue)),
      "connected": JSONSchema.bool, "connections": JSONSchema.integer, "connectedAt": JSONSchema.time,
      "disconnectedAt": JSONSchema.time,
      "lastLoss": JSONSchema.text, "machine": JSONSchema.text, "program": JSONSchema.text,
      "runtimes": JSONSchema.array(
        of: JSONSchema.object(
          [
            "kind": runtimeKind, "available": JSONSchema.bool, "detail": JSONSchema.text, "openClaw": JSONSchema.text,
            "resolvesSecrets": JSONSchema.bool,
          ], optional: ["openClaw", "resolvesSecrets"])), "instances": JSONSchema.integer, "createdAt": JSONSchema.time,
    ], optional: ["connectedAt", "disconnectedAt", "lastLoss", "machine", "program"])

  static let invitation = JSONSchema.object([
    "host": host, "line": JSONSchema.text, "expiresAt": JSONSchema.time,
  ])

  private static let link = JSONSchema.oneOf(ChainLink.allCases.map(\.rawValue))

  static let check = JSONSchema.object(
    [
      "link": link, "title": JSONSchema.text, "outcome": JSONSchema.oneOf(["passed", "degraded", "failed"]),
      "behindFailure": JSONSchema.bool, "at": JSONSchema.time, "durationMilliseconds": JSONSchema.integer,
      "code": JSONSchema.text, "message": JSONSchema.text, "next": JSONSchema.text, "evidence": JSONSchema.any,
    ], optional: ["code", "message", "next"])

  private static let status = JSONSchema.object(
    [
      "status": JSONSchema.oneOf(Status.allCases.map(\.rawValue)), "reason": JSONSchema.text, "link": link,
      "primaryCause": JSONSchema.oneOf(PrimaryCause.allCases.map(\.rawValue)),
      "suppressed": JSONSchema.array(of: link), "evidenceAt": JSONSchema.time, "since": JSONSchema.time,
      "flapping": JSONSchema.bool,
    ], optional: ["link", "primaryCause", "evidenceAt", "since"])

  private static let step = JSONSchema.object(
    [
      "name": JSONSchema.text, "title": JSONSchema.text,
      "state": JSONSchema.oneOf(["pending", "running", "done", "failed", "undone"]), "startedAt": JSONSchema.time,
      "finishedAt": JSONSchema.time, "attempts": JSONSchema.integer, "waitingFor": JSONSchema.text,
      "detail": JSONSchema.any,
    ], optional: ["startedAt", "finishedAt", "waitingFor", "detail"])

  public static let operation = JSONSchema.object(
    [
      "id": JSONSchema.id, "kind": JSONSchema.text, "subject": JSONSchema.text, "actor": JSONSchema.text,
      "state": JSONSchema.oneOf(["running", "undoing", "succeeded", "failed"]), "steps": JSONSchema.array(of: step),
      "failure": JSONSchema.object([
        "step": JSONSchema.text, "code": JSONSchema.text, "message": JSONSchema.text, "next": JSONSchema.text,
      ]), "createdAt": JSONSchema.time, "updatedAt": JSONSchema.time,
    ], optional: ["failure"])

  static let instance = JSONSchema.object(
    [
      "id": JSONSchema.id, "slug": JSONSchema.slug, "org": JSONSchema.slug, "host": JSONSchema.slug,
      "runtime": runtimeKind, "image": JSONSchema.text,
      "state": JSONSchema.oneOf(Instance.State.allCases.map(\.rawValue)),
      "port": JSONSchema.integer, "version": JSONSchema.text, "dataDirectory": JSONSchema.text,
      "createdAt": JSONSchema.time, "path": PathView.schema, "status": status,
      "chain": JSONSchema.array(of: check), "operation": operation,
    ], optional: ["image", "port", "version", "dataDirectory", "operation"])

  static let requested = JSONSchema.object(["instance": instance, "operation": operation])

  static let summary = JSONSchema.object(
    [
      "statuses": ["type": "object", "additionalProperties": JSONSchema.integer], "instances": JSONSchema.integer,
      "hosts": JSONSchema.integer, "hostsConnected": JSONSchema.integer,
      "worst": JSONSchema.oneOf(Status.allCases.map(\.rawValue)), "doubt": JSONSchema.text, "now": JSONSchema.time,
    ], optional: ["worst", "doubt"])

  static let orgRequest = JSONSchema.object(
    ["slug": JSONSchema.slug, "name": JSONSchema.text, "sort": JSONSchema.text], optional: ["name", "sort"])

  static let instanceRequest = JSONSchema.object(
    [
      "org": JSONSchema.slug, "slug": JSONSchema.slug, "runtime": runtimeKind, "image": JSONSchema.text,
      "host": JSONSchema.slug, "port": JSONSchema.integer,
    ], optional: ["image", "host", "port"])

  static let lines = JSONSchema.object(["lines": JSONSchema.array(of: JSONSchema.text)])
}
