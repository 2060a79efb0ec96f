import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPublicKey;
import java.security.spec.MGF1ParameterSpec;
import java.util.List;
import java.util.Map;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSEnvelopedDataStreamGenerator;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.jcajce.JcaAlgorithmParametersConverter;

/** Encrypts files with Bouncy Castle's streaming generator. The argument names a file of lines
 * "CERTIFICATE INPUT OUTPUT CIPHER TRANSPORT SEGMENT": aes128, aes192, aes256 or des3; rsa, ski,
 * oaep or a scheme of key agreement; and the octets of a segment. */
public final class Encrypt {
    private static final Map<String, ASN1ObjectIdentifier> CIPHERS = Map.of(
            "aes128", CMSAlgorithm.AES128_CBC,
            "aes192", CMSAlgorithm.AES192_CBC,
            "aes256", CMSAlgorithm.AES256_CBC,
            "des3", CMSAlgorithm.DES_EDE3_CBC);

    private static final Map<String, ASN1ObjectIdentifier> SCHEMES = Map.of(
            "ecdh-sha1", CMSAlgorithm.ECDH_SHA1KDF,
            "ecdh-sha256", CMSAlgorithm.ECDH_SHA256KDF,
            "ecdh-sha384", CMSAlgorithm.ECDH_SHA384KDF,
            "ecdh-sha512", CMSAlgorithm.ECDH_SHA512KDF,
            "ecdh-cofactor-sha224", CMSAlgorithm.ECCDH_SHA224KDF,
            "ecdh-cofactor-sha512", CMSAlgorithm.ECCDH_SHA512KDF);

    private static X509Certificate certificate(String name) throws Exception {
        try (InputStream in = Files.newInputStream(Path.of(name))) {
            CertificateFactory factory = CertificateFactory.getInstance("X.509", "BC");
            return (X509Certificate) factory.generateCertificate(in);
        }
    }

    private static RecipientInfoGenerator agreeing(X509Certificate to, String scheme)
            throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", "BC");
        generator.initialize(((ECPublicKey) to.getPublicKey()).getParams());
        KeyPair ephemeral = generator.generateKeyPair();
        return new JceKeyAgreeRecipientInfoGenerator(SCHEMES.get(scheme), ephemeral.getPrivate(),
                ephemeral.getPublic(), CMSAlgorithm.AES256_WRAP)
                .addRecipient(to).setProvider("BC");
    }

    private static RecipientInfoGenerator recipient(X509Certificate to, String transport)
            throws Exception {
        if (SCHEMES.containsKey(transport)) {
            return agreeing(to, transport);
        }
        if (transport.equals("ski")) {
            byte[] identifier = new JcaX509ExtensionUtils()
                    .createSubjectKeyIdentifier(to.getPublicKey()).getKeyIdentifier();
            return new JceKeyTransRecipientInfoGenerator(identifier, to.getPublicKey())
                    .setProvider("BC");
        }
        if (!transport.equals("oaep")) {
            return new JceKeyTransRecipientInfoGenerator(to).setProvider("BC");
        }
        var parameters = new OAEPParameterSpec(
                "SHA-256", "MGF1", MGF1ParameterSpec.SHA256, PSource.PSpecified.DEFAULT);
        AlgorithmIdentifier oaep = new JcaAlgorithmParametersConverter()
                .getAlgorithmIdentifier(PKCSObjectIdentifiers.id_RSAES_OAEP, parameters);
        return new JceKeyTransRecipientInfoGenerator(to, oaep).setProvider("BC");
    }

    private static void encrypt(String[] words) throws Exception {
        var generator = new CMSEnvelopedDataStreamGenerator();
        generator.addRecipientInfoGenerator(recipient(certificate(words[0]), words[4]));
        generator.setBufferSize(Integer.parseInt(words[5]));
        var cipher = new JceCMSContentEncryptorBuilder(CIPHERS.get(words[3])).setProvider("BC");
        try (InputStream in = Files.newInputStream(Path.of(words[1]));
                OutputStream file = Files.newOutputStream(Path.of(words[2]));
                OutputStream out = generator.open(file, cipher.build())) {
            in.transferTo(out);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        List<String> cases = Files.readAllLines(Path.of(arguments[0]));
        for (String line : cases) {
            encrypt(line.split(" "));
        }
        System.out.println(cases.size() + " encrypted");
    }
}
